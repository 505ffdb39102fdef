"""The condition EngineCompatible: what this release and platform of the engine make of the spec."""

from collections.abc import Sequence

from slmfleet.api.conditions import Reason
from slmfleet.engine.resolution import Resolution

from .conditions import Statement
from .problems import bounded
from .types import Manifest


def engine_unchecked() -> Statement:
    """Nothing is known of a spec that cannot be read."""
    return Statement("Unknown", Reason.NOT_ACCEPTED, "not checked: the spec cannot be read")


def engine_compatible(resolution: Resolution, adjusted: Sequence[Manifest]) -> Statement:
    """Can the engine do what the spec wants? `adjusted` is what the template in use leaves out or says otherwise."""
    if problems := resolution.problems:
        reason = Reason.FLAG_REMOVED if any(p.removed for p in problems) else Reason.VALUE_REFUSED
        return Statement("False", reason, bounded("; ".join(map(str, problems))))
    changes = [f"{a['field']}: {a['why']}" for a in adjusted]
    doubts = [f"{doubt.field}: {doubt.text}" for doubt in resolution.doubts]
    remarks = [f"{remark.field}: {remark.text}" for remark in resolution.remarks]
    words = bounded("; ".join(filter(None, [*changes, *doubts, resolution.unknown, *remarks])))
    if changes:
        return Statement("True", Reason.FLAGS_ADJUSTED, words)
    if resolution.unknown:
        return Statement("True", Reason.UNKNOWN_VERSION, words)
    if doubts:
        return Statement("True", Reason.FLAG_UNVERIFIED, words)
    if remarks:
        return Statement("True", Reason.COMPATIBLE, words)
    return Statement("True", Reason.COMPATIBLE, f"vLLM {resolution.release} takes every argument as the spec has it")
