"""The engine guard: its files, its token, and what the pod needs to run it.

ConfigMap and Secret are named by their content and immutable: whatever a later release brings, the files of a running
pod stay what its template says.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.digests import digest
from slmfleet.core.names import Names
from slmfleet.core.types import Manifest
from slmfleet.engine.adapters import enabled, guard_config
from slmfleet.engine.guard import (
    FOLDER,
    KEEP_ALIVE,
    KEEP_ALIVE_SECONDS,
    MAX_KEEP_ALIVE_SECONDS,
    STATE,
    TOKEN_FILE,
    config,
    drain,
)

ENDPOINTS_SECONDS: Final = 7
"""Time for every kube-proxy and load balancer to see that a pod leaves, and a margin."""
_VOLUME: Final = "guard"


@dataclass(frozen=True)
class GuardNames:
    """The objects that a pod's guard comes from."""

    config_map: str
    secret: str


def guard_files(spec: SLMDeploymentSpec, sources: Mapping[str, str]) -> dict[str, str] | None:
    """The guard's package with its configuration, by file name; None where the spec wants no guard."""
    if not spec.guard.enabled:
        return None
    adapters = guard_config(spec) if enabled(spec) else None
    return {**sources, "config.json": config(spec.guard, adapters)}


def guard_names(names: Names, files: Mapping[str, str], key: bytes) -> GuardNames:
    """Names after the content; the token's is a digest of 256 random bits, which tells nothing about them."""
    return GuardNames(f"{names.name}-guard-{digest(dict(files))}", f"{names.name}-guard-{digest(token(names, key))}")


def token(names: Names, key: bytes) -> str:
    """What proves to the guards of one SLMDeployment that a request is the operator's.

    Derived from the operator's key instead of stored, so that nobody has to read a Secret to know it.
    """
    purpose = f"{names.namespace}/{names.name}/{names.uid}/guard"
    return hmac.new(key, purpose.encode(), hashlib.sha256).hexdigest()


def guard_config_map(names: Names, name: str, files: Mapping[str, str]) -> Manifest:
    """The guard's files."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.metadata(name),
        "immutable": True,
        "data": dict(files),
    }


def guard_secret(names: Names, name: str, key: bytes) -> Manifest:
    """The guard's token."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.metadata(name),
        "type": "Opaque",
        "immutable": True,
        "data": {TOKEN_FILE: base64.b64encode(token(names, key).encode()).decode()},
    }


def secret_of(template: Manifest) -> str | None:
    """The guard's Secret that a pod template mounts."""
    return _source(template, "secret")


def config_map_of(template: Manifest) -> str | None:
    """The guard's ConfigMap that a pod template, or a pod, mounts."""
    return _source(template, "configMap")


def _source(template: Manifest, kind: str) -> str | None:
    volumes = template.get("spec", {}).get("volumes") or []
    sources = [s for v in volumes if v["name"] == _VOLUME for s in v.get("projected", {}).get("sources") or []]
    return next((s[kind]["name"] for s in sources if kind in s), None)


def guard_volumes(guard: GuardNames) -> list[Manifest]:
    """The guard's files, and a place for what it knows about this pod, which a full disk does not reach."""
    secret = {"name": guard.secret, "items": [{"key": TOKEN_FILE, "path": TOKEN_FILE, "mode": 0o440}]}
    sources: list[dict[str, Any]] = [{"configMap": {"name": guard.config_map}}, {"secret": secret}]
    return [
        {"name": _VOLUME, "projected": {"defaultMode": 0o444, "sources": sources}},
        {"name": f"{_VOLUME}-state", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]


def guard_mounts() -> list[Manifest]:
    """Where the engine sees them."""
    return [
        {"name": _VOLUME, "mountPath": FOLDER, "readOnly": True},
        {"name": f"{_VOLUME}-state", "mountPath": STATE},
    ]


def drain_seconds(spec: SLMDeploymentSpec) -> int:
    """The least seconds from a pod's deletion to SIGTERM: until new connections stop, and idle ones are closed."""
    return ENDPOINTS_SECONDS + keep_alive_seconds(spec)


def drain_hook(spec: SLMDeploymentSpec, timeout: int) -> Manifest:
    """The preStop hook, which running requests may keep waiting for `timeout` seconds more than the least time."""
    least = drain_seconds(spec)
    return {"exec": {"command": drain(least, keep_alive_seconds(spec) + 1, least + timeout)}}


def keep_alive_seconds(spec: SLMDeploymentSpec) -> int:
    """How long the engine keeps an idle connection; the user may have set it where it can be read here."""
    values = [entry.value for entry in spec.pod.env or [] if entry.name == KEEP_ALIVE]
    if values and values[0] is not None and values[0].isdecimal():
        return min(int(values[0]), MAX_KEEP_ALIVE_SECONDS)
    return KEEP_ALIVE_SECONDS
