"""What lies in the accelerators' memory, and how much of it."""

from collections.abc import Iterator

from slmfleet.engine.resolution import Argument, Item, Request


def memory(r: Request) -> Iterator[Item]:
    """Sequence length and tensor parallelism."""
    if r.engine.max_model_len is not None:
        yield Argument(("--max-model-len", str(r.engine.max_model_len)), "spec.engine.maxModelLen")
    if r.gpus > 1:
        yield Argument(("--tensor-parallel-size", str(r.gpus)), "spec.parallelism.tensor")
