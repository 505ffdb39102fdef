"""Which weights are loaded, and from where."""

from collections.abc import Iterator

from slmfleet.engine.argv import model_argument
from slmfleet.engine.resolution import Argument, Item, Request, Variable


def weights(r: Request) -> Iterator[Item]:
    """The model and what the hub needs to hand it out."""
    model = r.spec.model
    yield Argument(("--model", model_argument(model.uri)), "spec.model.uri")
    if model.revision is not None:
        yield Argument(("--revision", model.revision), "spec.model.revision")
    if model.secret_ref is not None:
        yield Variable("HF_TOKEN", "spec.model.secretRef", "the hub's token for a gated model", secret=model.secret_ref)
    if not model.uri.startswith("hf://"):
        why = "everything is in the pod already: the hub would only delay the start, or fail it"
        yield Variable("HF_HUB_OFFLINE", "spec.model.uri", why, "1")
        yield Variable("TRANSFORMERS_OFFLINE", "spec.model.uri", why, "1")
