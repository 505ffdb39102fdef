"""Where an adapter's files come from, and what is known of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slmfleet.api.adapter_facts import AdapterFacts
from slmfleet.api.conditions import Reason
from slmfleet.api.loraadapter import FETCHED
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.build.adapter_volume import adapter_claim
from slmfleet.core.digests import digest
from slmfleet.core.names import Names
from slmfleet.core.problems import Verdict, bounded
from slmfleet.engine.adapters import FOLDER, MOUNT
from slmfleet.engine.container import PVC_MOUNT, local_claim

from .adapter import Adapter
from .reports import reason_of

_CLAIM: Final = "spec.engine.lora.claimName"


@dataclass(frozen=True)
class Source:
    """A source that can be read: by a Job that fetches it, or by a guard where it is."""

    key: str
    """The same for the same files, as far as the spec can tell."""
    path: str
    """Where engines find it; {hex} stands for the digits of the digest."""
    claim: str | None = None
    """What the Job fetches into; None where there is nothing to fetch."""


def source_of(adapter: Adapter, names: Names, spec: SLMDeploymentSpec) -> Source | Verdict:
    """The source of an adapter of this deployment; a Verdict says why its engines could not see it."""
    wanted = adapter.spec.source
    scheme, _, rest = wanted.uri.partition("://")
    claim = adapter_claim(names, spec)
    if scheme in FETCHED:
        if claim is None:
            text = (
                f"spec.source.uri: {wanted.uri} is fetched into a volume, and {names.name} has none: set its {_CLAIM}"
            )
            return Verdict(Reason.NO_VOLUME, text)
        secret = None if wanted.secret_ref is None else wanted.secret_ref.to_manifest()
        content = [claim, wanted.uri, wanted.revision, wanted.digest, wanted.max_size, secret]
        return Source(f"{adapter.name}-{digest(content)}", f"{MOUNT}/{{hex}}", claim)
    path = f"/{rest.lstrip('/')}" if scheme == "image" else _in_claim(rest, claim, local_claim(spec.model.uri))
    if path is None:
        text = (
            f"spec.source.uri: engines of {names.name} do not see {wanted.uri}: use "
            f"pvc://{claim or 'claim'}/{FOLDER}/path with the claim of its {_CLAIM}, or a path in the claim of its "
            "pvc:// model"
        )
        return Verdict(Reason.NO_VOLUME, text)
    generation = adapter.manifest["metadata"].get("generation", 0)
    return Source(f"{adapter.uid}/{generation}{path}"[-128:], path)


def _in_claim(place: str, adapters: str | None, model: str | None) -> str | None:
    claim, _, path = place.partition("/")
    if claim == adapters and path.startswith(f"{FOLDER}/"):
        return f"{MOUNT}/{path.removeprefix(f'{FOLDER}/')}"
    return f"{PVC_MOUNT}/{path}" if claim == model else None


def read_facts(adapter: Adapter, source: Source, told: Any) -> AdapterFacts | Verdict:  # noqa: ANN401 - JSON
    """The facts that the fetcher or a guard told; a Verdict says why there are none, or not those of the spec."""
    if isinstance(told, Mapping) and "error" in told:
        # The fetcher says error and message, the guard reason and error.
        text = str(told.get("message") or told["error"])
        return Verdict(reason_of(told.get("reason") or told["error"], Reason.FETCH_FAILED), bounded(text))
    try:
        facts = AdapterFacts.read(told, source.key, source.path)
    except ValueError as error:
        text = bounded(f"what was read of it cannot be understood: {error}")
        return Verdict(Reason.FETCH_FAILED, text)
    return checked(adapter, facts)


def checked(adapter: Adapter, facts: AdapterFacts) -> AdapterFacts | Verdict:
    """The facts, unless the spec wants other files."""
    wanted = adapter.spec.source.digest
    if wanted is None or wanted == facts.digest:
        return facts
    text = (
        f"spec.source.digest: {wanted} is wanted, and the files have {facts.digest}: correct the digest, or find out "
        "who changed them"
    )
    return Verdict(Reason.DIGEST_MISMATCH, text)


def parse(text: str) -> Any:  # noqa: ANN401 - JSON
    """A termination message; what is no JSON comes as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return {
            "error": Reason.FETCH_FAILED.value,
            "message": text or "the Job ended without a word: see its pod's log",
        }
