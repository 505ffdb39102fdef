"""The families of policies: how each is made, its published defaults, at most twelve other points."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final, TypedDict, Unpack

from bench.autoscale.hardware import BATCHED_TOKENS, MAX_NUM_SEQS
from bench.autoscale.policies import apa, dynamo, hpa, keda, kpa, kubeai, wva
from bench.autoscale.policy import Policy
from bench.autoscale.run import Setting

Params = dict[str, Any]
GRID_POINTS: Final = 12


@dataclass(frozen=True)
class Family:
    """One system's policy with what its user can set."""

    name: str
    make: Callable[..., Policy]
    """Takes the setting and the parameters."""
    defaults: Params = field(default_factory=dict)
    grid: tuple[Params, ...] = ()

    def __post_init__(self) -> None:
        if len(self.grid) > GRID_POINTS:
            raise ValueError(f"{self.name}: {len(self.grid)} grid points; fair are {GRID_POINTS}")


def points(**values: tuple[Any, ...]) -> tuple[Params, ...]:
    """All combinations."""
    return tuple(dict(zip(values, row, strict=True)) for row in product(*values.values()))


def _plain(make: Callable[..., Policy]) -> Callable[..., Policy]:
    """For a policy that needs to know nothing of its setting."""
    return lambda _setting, **params: make(**params)


class _Wva(TypedDict, total=False):
    stabilization: float
    tolerance: float


class _Dynamo(TypedDict, total=False):
    interval: float
    predictor: str
    headroom: float


def _wva_v1(_setting: Setting, spare: float = 0.1, queue_spare: float = 3.0, **params: Unpack[_Wva]) -> Policy:
    return wva.WvaV1(wva.Thresholds(kv_spare=spare, queue_spare=queue_spare), **params)


def _wva_v2(_setting: Setting, kv: float = 0.8, **params: Unpack[_Wva]) -> Policy:
    limits = wva.Thresholds(kv=kv)
    return wva.WvaV2(limits, **params, batched_tokens=BATCHED_TOKENS, max_seqs=MAX_NUM_SEQS)


def _dynamo(setting: Setting, **params: Unpack[_Dynamo]) -> Policy:
    gpu = setting.gpu
    known = dynamo.Engine(gpu.step, gpu.kv_tokens, MAX_NUM_SEQS, BATCHED_TOKENS)
    return dynamo.Dynamo(known, gpu.ttft, gpu.itl, **params)


BASELINES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in (
        Family(
            "hpa-waiting",
            _plain(hpa.hpa_waiting),
            {"target": 5.0},
            points(target=(0.5, 1.0, 2.0, 3.0, 10.0, 20.0), down_window=(300.0, 900.0)),
        ),
        Family(
            "hpa-kv",
            _plain(hpa.hpa_kv),
            {"target": 0.8},
            points(target=(0.3, 0.4, 0.5, 0.6, 0.7, 0.9), down_window=(120.0, 300.0)),
        ),
        Family(
            "hpa-max",
            _plain(hpa.hpa_max),
            {"kv": 0.8, "queue": 5.0},
            points(kv=(0.4, 0.5, 0.6, 0.7), queue=(2.0, 5.0, 10.0)),
        ),
        Family("keda", _plain(keda.Keda), {"threshold": 5.0}, points(threshold=(0.25, 0.5, 1.0, 2.0, 3.0, 10.0))),
        Family(
            "kpa",
            _plain(kpa.Kpa),
            {"target": 100.0},
            points(target=(10.0, 15.0, 20.0, 25.0, 35.0, 150.0), stable_window=(60.0, 300.0)),
        ),
        Family(
            "kubeai",
            _plain(kubeai.KubeAi),
            {"target": 100.0},
            points(target=(6.0, 9.0, 12.0, 16.0, 24.0, 90.0), window=(120.0, 600.0)),
        ),
        Family(
            "aibrix-apa",
            _plain(apa.Apa),
            {"target": 0.5},
            points(target=(0.2, 0.3, 0.4, 0.6, 0.7, 0.8), window=(30.0, 180.0)),
        ),
        Family(
            "wva-v1",
            _wva_v1,
            {},
            points(spare=(0.1, 0.2, 0.3, 0.4), stabilization=(0.0, 120.0, 240.0), tolerance=(0.0,)),
        ),
        Family(
            "wva-v2",
            _wva_v2,
            {},
            points(kv=(0.5, 0.65, 0.8, 0.95), stabilization=(0.0, 120.0, 240.0), tolerance=(0.0,)),
        ),
        Family(
            "dynamo-like",
            _dynamo,
            {},
            points(interval=(60.0, 180.0), predictor=("arima", "constant"), headroom=(1.25, 1.6, 2.0)),
        ),
    )
}
