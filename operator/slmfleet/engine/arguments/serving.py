"""How the server answers, and how it ends."""

from collections.abc import Iterator

from slmfleet.engine.argv import PORT
from slmfleet.engine.guard import MIDDLEWARE
from slmfleet.engine.resolution import Adjustment, Argument, Item, Origin, Request
from slmfleet.engine.version import GRACEFUL_SHUTDOWN_SINCE


def serving(r: Request) -> Iterator[Item]:
    """Port, names and the end of the process."""
    yield Argument(("--port", str(PORT)), "", Origin.DEFAULT, "the probes and the Service look for the server here")
    names, field = r.spec.model.served_names, "spec.model.servedNames"
    if names is None:
        yield Argument(("--served-model-name", r.name), field, Origin.DEFAULT, "the SLMDeployment's name")
    else:
        yield Argument(("--served-model-name", *names), field)
    if r.spec.guard.enabled:
        yield Argument(("--middleware", MIDDLEWARE), "spec.guard", Origin.DEFAULT, "opens only what clients need")
    yield from _shutdown(r)


def _shutdown(r: Request) -> Iterator[Item]:
    flag, field = "--shutdown-timeout", "spec.drain.timeout"
    if r.version >= GRACEFUL_SHUTDOWN_SINCE:
        yield Argument((flag, str(r.drain_seconds)), field)
        return
    if r.spec.guard.enabled:
        return  # running requests are waited for before the engine is told to end
    why = (
        f"vLLM {r.engine.version} aborts what runs when its pod ends: {flag} came with 0.18.0; spec.guard waits for it"
    )
    yield Adjustment(field, flag, why)
