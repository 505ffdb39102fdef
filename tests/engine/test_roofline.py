"""The guess against the rows of steptime.json that were fitted to something."""

import json
from importlib.resources import files
from typing import Any

import pytest

from slmfleet.api.accelerator import AcceleratorClassSpec
from slmfleet.api.catalogue import builtin
from slmfleet.engine.roofline import HOST_SECONDS, prior
from slmfleet.engine.steptime import StepTime, known

ROWS: dict[str, dict[str, Any]] = json.loads((files("slmfleet.engine") / "steptime.json").read_text(encoding="utf-8"))
FITTED = {name: row for name, row in ROWS.items() if row.get("basis") in ("engine", "kernels")}
A40 = AcceleratorClassSpec(
    platform="cuda", memory="46068Mi", memory_bandwidth_gbps=696, fp16_tflops=150, resource_name="nvidia.com/gpu"
)


def accelerator(row: dict[str, Any]) -> AcceleratorClassSpec:
    spec = builtin(row["accelerator"]) if row["accelerator"] else A40
    assert spec is not None
    return spec


def steps(time: StepTime) -> tuple[float, float]:
    """Seconds of a step that decodes 32 sequences of 1,000 tokens, and of one with 2,048 prompt tokens."""
    return time.a + 32 * time.d + 32_000 * time.kappa, time.a + 2048 * time.p + time.d


@pytest.mark.parametrize("name", FITTED)
def test_the_guess_is_near_what_was_fitted(name: str) -> None:
    row = FITTED[name]
    guess = prior(accelerator(row), row["parameters"], kv_bytes_per_token=row["kv_bytes_per_token"])
    assert guess is not None
    host = HOST_SECONDS if row["basis"] == "kernels" else 0.0
    decode, prefill = (one / (other + host) - 1 for one, other in zip(steps(guess), steps(known()[name]), strict=True))
    limits = (0.05, 0.1) if row["basis"] == "kernels" else (0.35, 0.5)
    assert abs(decode) <= limits[0]
    assert abs(prefill) <= limits[1]


def test_every_row_says_where_it_is_from() -> None:
    for row in ROWS.values():
        assert {"hardware", "model", "source"} <= row.keys()
        assert row.get("basis", "engine") in ("engine", "kernels", "estimate", "measured")


def test_two_gpus_halve_all_but_the_hosts_share() -> None:
    one, two = (prior(A40, 8e9, gpus=gpus) for gpus in (1, 2))
    assert one is not None
    assert two is not None
    assert two.a - HOST_SECONDS == pytest.approx((one.a - HOST_SECONDS) / 2)
    assert (two.p, two.d, two.kappa) == pytest.approx((one.p / 2, one.d / 2, one.kappa / 2))


def test_quantized_weights_are_read_faster_and_computed_alike() -> None:
    whole, quantized = (prior(A40, 8e9, weight_bytes=size) for size in (2.0, 0.5))
    assert whole is not None
    assert quantized is not None
    assert quantized.a - HOST_SECONDS == pytest.approx((whole.a - HOST_SECONDS) / 4)
    assert quantized.p == whole.p


def test_there_is_no_guess_without_a_data_sheet() -> None:
    assert prior(A40.model_copy(update={"fp16_tflops": None}), 8e9) is None
    assert prior(A40.model_copy(update={"memory_bandwidth_gbps": None}), 8e9) is None
