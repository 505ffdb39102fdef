"""What a step computes, and in which order requests get there."""

from collections.abc import Iterator

from slmfleet.engine.resolution import Adjustment, Item, Request

from .options import ENGINE, absent, option, switch


def scheduling(r: Request) -> Iterator[Item]:
    """Batch limits, chunks, order, compilation."""
    engine = r.engine
    if engine.max_num_seqs is not None:
        yield from option(r, "--max-num-seqs", engine.max_num_seqs, field=f"{ENGINE}.maxNumSeqs")
    if (tokens := engine.max_num_batched_tokens) is not None:
        yield from option(r, "--max-num-batched-tokens", tokens, field=f"{ENGINE}.maxNumBatchedTokens")
    yield from switch(r, "--enable-chunked-prefill", engine.chunked_prefill, field=f"{ENGINE}.chunkedPrefill")
    if (policy := engine.scheduling_policy) is not None:
        yield from option(r, "--scheduling-policy", policy.lower(), field=f"{ENGINE}.schedulingPolicy")
    yield from switch(r, "--enforce-eager", engine.enforce_eager, field=f"{ENGINE}.enforceEager")
    if engine.optimization_level is not None:
        yield from _optimization(r, engine.optimization_level)


def _optimization(r: Request, level: int) -> Iterator[Item]:
    flag, field = "--optimization-level", f"{ENGINE}.optimizationLevel"
    if r.flags.find(flag) is None:
        yield Adjustment(field, flag, f"left out: {absent(r, flag)}")
        return
    yield from option(r, flag, level, field=field)
