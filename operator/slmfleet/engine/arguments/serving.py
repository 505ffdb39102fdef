"""How the server answers, who may ask, and how it ends."""

from collections.abc import Iterator
from typing import Final

from slmfleet.engine.container import PORT
from slmfleet.engine.guard import MIDDLEWARE
from slmfleet.engine.resolution import Adjustment, Argument, Doubt, Item, MountedFile, Origin, Request, Variable

from .options import ENGINE, absent, option, switch

TEMPLATE: Final = "/slmfleet/chat-template/template.jinja"


def serving(r: Request) -> Iterator[Item]:
    """Port, names, parsers, template, key, and the end of the process."""
    yield Argument(("--port", str(PORT)), "", Origin.DEFAULT, "the probes and the Service look for the server here")
    names, field = r.spec.model.served_names, "spec.model.servedNames"
    if names is None:
        yield Argument(("--served-model-name", r.name), field, Origin.DEFAULT, "the SLMDeployment's name")
    else:
        yield Argument(("--served-model-name", *names), field)
    yield from _parsers(r)
    if (template := r.engine.chat_template) is not None:
        field = f"{ENGINE}.chatTemplate"
        yield MountedFile(template.config_map_ref, TEMPLATE, field)
        yield from option(r, "--chat-template", TEMPLATE, field=field, why="the ConfigMap's key, mounted as a file")
    if (secret := r.engine.api_key_secret_ref) is not None:
        why = "the key that clients send; arguments can be read by anybody who may see the pod"
        yield Variable("VLLM_API_KEY", f"{ENGINE}.apiKeySecretRef", why, secret=secret)
    if r.spec.guard.enabled:
        yield Argument(("--middleware", MIDDLEWARE), "spec.guard", Origin.DEFAULT, "opens only what clients need")
    yield from _shutdown(r)


def _parsers(r: Request) -> Iterator[Item]:
    for name, flag, plugin, field in (
        (r.engine.tool_call_parser, "--tool-call-parser", "--tool-parser-plugin", f"{ENGINE}.toolCallParser"),
        (r.engine.reasoning_parser, "--reasoning-parser", "--reasoning-parser-plugin", f"{ENGINE}.reasoningParser"),
    ):
        if name is None:
            continue
        if any(a.partition("=")[0].replace("_", "-") == plugin for a in r.engine.extra_args or ()):
            yield Argument((flag, name), field)
            yield Doubt(field, f"{name} may be of the {plugin} in extraArgs, which nobody could look into")
        else:
            yield from option(r, flag, name, field=field)
        if flag == "--tool-call-parser":
            yield from switch(r, "--enable-auto-tool-choice", on=True, field=field)


def _shutdown(r: Request) -> Iterator[Item]:
    flag, field = "--shutdown-timeout", "spec.drain.timeout"
    if r.flags.find(flag) is not None:
        given = "timeout" in r.spec.drain.model_fields_set
        yield from option(r, flag, r.drain_seconds, field=field, origin=Origin.USER if given else Origin.DEFAULT)
        return
    if r.spec.guard.enabled:
        return  # running requests are waited for before the engine is told to end
    why = f"{absent(r, flag)}: what runs when a pod ends is aborted; spec.guard waits for it"
    yield Adjustment(field, flag, why)
