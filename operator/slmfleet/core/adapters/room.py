"""How much room for adapters engines get where the spec leaves it open.

    told    = the numbers of spec.engine.lora
    kept    = what is left out, as it is in the template that was rendered from the same spec: no adapter rolls a fleet
    follows = else, and so at the user's next change, as much as the adapters of that moment need

Pods say in their arguments what they have: while a fleet rolls, the smallest counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slmfleet.api.conditions import Reason
from slmfleet.api.engine_features import LoRA
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.problems import Verdict
from slmfleet.core.types import Manifest

RANKS: Final = (16, 32, 64)
"""Ranks that follow from adapters: vLLM's default and those above it that every release has. A slot takes GPU memory in
proportion, so one of a larger rank is the user's decision."""
MOST_TOGETHER: Final = 8
"""So many of them are computed together in a step unless the spec says more; each takes GPU memory."""
MOST_KEPT: Final = 64
"""So many are kept in host memory unless the spec says more."""


@dataclass(frozen=True)
class Room:
    """What an engine has for adapters."""

    together: int = 1
    """Adapters in one step (--max-loras)."""
    slots: int = 1
    """Adapters in host memory (--max-cpu-loras)."""
    rank: int = 16
    """The largest rank (--max-lora-rank). All three are vLLM's own where nothing is said (vllm/config/lora.py)."""

    @classmethod
    def of(cls, pod: Manifest) -> "Room":
        """That of a pod, or of a template."""
        words = [word for c in pod.get("spec", {}).get("containers", ()) for word in c.get("args") or ()]
        together = _number(words, "--max-loras", cls.together)
        slots, rank = _number(words, "--max-cpu-loras", together), _number(words, "--max-lora-rank", cls.rank)
        return cls(together, slots, rank)


def smallest(pods: Iterable[Manifest]) -> Room:
    """What all of them have."""
    rooms = [Room.of(pod) for pod in pods]
    return Room(min(r.together for r in rooms), min(r.slots for r in rooms), min(r.rank for r in rooms))


def with_room(spec: SLMDeploymentSpec, adapters: Sequence[Manifest], before: Manifest | None) -> SLMDeploymentSpec:
    """The spec with nothing of its room left open; `before` is the template that was rendered from the same spec."""
    lora = spec.engine.lora
    if lora is None or None not in (lora.max_adapters, lora.max_cpu_adapters, lora.max_rank):
        return spec
    room = _following(lora, adapters) if before is None else Room.of(before)
    told = lora.model_copy(
        update={
            "max_adapters": lora.max_adapters or room.together,
            "max_cpu_adapters": lora.max_cpu_adapters or room.slots,
            "max_rank": lora.max_rank or room.rank,
        }
    )
    return spec.model_copy(update={"engine": spec.engine.model_copy(update={"lora": told})})


def more(spec: SLMDeploymentSpec, field: str) -> str:
    """What helps when there is not enough; `field` as in the manifest."""
    lora: Any = spec.engine.lora and spec.engine.lora.model_dump(by_alias=True, exclude_none=True)
    if field in (lora or {}):
        return f"raise its spec.engine.lora.{field}, and its pods roll"
    return (
        f"set its spec.engine.lora.{field}, and its pods roll; left out, it follows from the adapters when they next do"
    )


def no_slot(what: str, spec: SLMDeploymentSpec) -> Verdict:
    """`what` says of a deployment for whom it lacks slots, and this what helps."""
    return Verdict(Reason.NO_SLOT, f"{what}: {more(spec, 'maxCpuAdapters')}")


def _following(lora: LoRA, adapters: Sequence[Manifest]) -> Room:
    """Room for these adapters, and for a version that is loaded beside the one before."""
    together = lora.max_adapters or max(1, min(len(adapters), lora.max_cpu_adapters or MOST_TOGETHER, MOST_TOGETHER))
    slots = max(together, min(len(adapters), MOST_KEPT)) + 1
    ranks = [int((adapter.get("status") or {}).get("rank") or 0) for adapter in adapters]
    return Room(together, slots, next((rank for rank in RANKS if rank >= max(ranks, default=0)), RANKS[-1]))


def _number(words: Sequence[str], flag: str, default: int) -> int:
    return int(words[words.index(flag) + 1]) if flag in words else default
