"""Whether an adapter may be loaded: checks that need no engine, from top to bottom; the first that speaks wins.

vLLM takes an adapter of another base model as long as the shapes fit, and dies or answers 500 for much of the rest.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from slmfleet.api.adapter_facts import AdapterFacts
from slmfleet.api.conditions import Reason
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.names import Names
from slmfleet.core.problems import Verdict
from slmfleet.engine.adapters import enabled, spoils_experts, unserved
from slmfleet.engine.version import EngineVersion

from .adapter import Adapter
from .files import Deployment
from .room import more

Check = Callable[[AdapterFacts, Adapter, Deployment], Verdict | None]


def closed(names: Names, spec: SLMDeploymentSpec) -> Verdict | None:
    """Why nobody can load adapters into the engines of a deployment."""
    if spec.engine.lora is None:
        text = f"{names.name} has no spec.engine.lora: set it, {{}} will do, and its pods roll"
        return Verdict(Reason.LORA_OFF, text)
    if not spec.guard.enabled:
        text = f"{names.name} has spec.guard.enabled: false, and adapters are loaded by the guard: enable it"
        return Verdict(Reason.GUARD_OFF, text)
    if not enabled(spec):
        text = f"{names.name} has --api-server-count in spec.engine.extraArgs, beside which vLLM loads none: remove it"
        return Verdict(Reason.SEVERAL_API_SERVERS, text)
    return None


def conflicts(adapters: Iterable[Adapter], names: Names, spec: SLMDeploymentSpec) -> Mapping[str, Verdict]:
    """By adapter: why it cannot have its name. `adapters` are in order of age: the older one keeps the name."""
    taken = dict.fromkeys(spec.model.served_names or [names.name], f"{names.name} serves its model")
    found = {}
    for adapter in adapters:
        name = adapter.served_name
        if name in taken:
            text = f'spec.servedName: {taken[name]} as "{name}": choose another name'
            found[adapter.name] = Verdict(Reason.NAME_CONFLICT, text)
        taken.setdefault(name, f"the older LoRAAdapter {adapter.name} is served")
    return found


def base_model(facts: AdapterFacts, adapter: Adapter, d: Deployment) -> Verdict | None:
    """It must say that it was made for this model; equal shapes prove nothing."""
    uri, allowed = d.spec.model.uri, adapter.spec.base_model
    model = uri.removeprefix("hf://") if uri.startswith("hf://") else None
    if allowed is not None and facts.base in (None, allowed):
        return None
    if facts.base is not None and facts.base.rstrip("/") == model and allowed is None:
        return None
    if allowed is not None:
        told = f'spec.baseModel: "{allowed}" is not what the adapter says its base is, "{facts.base}"'
        return Verdict(Reason.BASE_MODEL_MISMATCH, f"{told}: correct it, or the source")
    says = "does not say what its base is" if facts.base is None else f'says that its base is "{facts.base}"'
    fix = f"set spec.baseModel{f': {facts.base}' if facts.base else ''} if it was made for that model's weights"
    return Verdict(Reason.BASE_MODEL_MISMATCH, f"the adapter {says}, and the deployment serves {uri}: {fix}")


def revision(facts: AdapterFacts, adapter: Adapter, d: Deployment) -> Verdict | None:
    """Other weights under the model's name; spec.baseModel says that they do."""
    served, said = d.spec.model.revision, facts.revision
    if adapter.spec.base_model is not None or served is None or said is None or _same(served, said):
        return None
    text = (
        f'the adapter says that its base is revision "{said}" of {facts.base}, and the deployment serves "{served}": '
        f"set its spec.model.revision: {said}, or spec.baseModel: {facts.base} if the adapter suits both"
    )
    return Verdict(Reason.BASE_MODEL_MISMATCH, text)


def _same(one: str, other: str) -> bool:
    """Commits may be abbreviated."""
    commits = re.fullmatch("[0-9a-f]{7,40}", one) and re.fullmatch("[0-9a-f]{7,40}", other)
    return one == other or bool(commits and (one.startswith(other) or other.startswith(one)))


def rank(facts: AdapterFacts, _: Adapter, d: Deployment) -> Verdict | None:
    """Slots have one size."""
    if facts.rank is None or facts.rank <= d.room.rank:
        return None
    text = (
        f"the adapter's rank {facts.rank} is more than the {d.room.rank} of the deployment: {more(d.spec, 'maxRank')}"
    )
    return Verdict(Reason.RANK_TOO_LARGE, text)


def experts(facts: AdapterFacts, _: Adapter, d: Deployment) -> Verdict | None:
    """What this release of vLLM loads and then answers with wrong numbers."""
    if not facts.moe or not spoils_experts(d.spec, d.accelerator):
        return None
    text = (
        f"vLLM {d.spec.engine.version} answers wrongly where an adapter changes the experts of an fp8 model, as this "
        "one does (vllm#42007): set the deployment's spec.engine.version to 0.24.0 or later, or serve the model "
        "without spec.engine.quantization: fp8"
    )
    return Verdict(Reason.UNSUPPORTED_ADAPTER, text)


def kind(facts: AdapterFacts, _: Adapter, d: Deployment) -> Verdict | None:
    """What this release of vLLM has no code for."""
    release = EngineVersion.parse(d.spec.engine.version)
    unsupported = [
        facts.peft_type not in (None, "LORA") and f"peft_type {facts.peft_type}",
        facts.bias not in (None, "none") and f"bias {facts.bias}",
        facts.dora and "use_dora",
        *unserved(facts.features or (), facts.modules_to_save or (), release),
    ]
    if not (found := [what for what in unsupported if what]):
        return None
    text = f"vLLM {release} serves plain LoRA adapters, and this one has {'; '.join(found)}: train it without"
    return Verdict(Reason.UNSUPPORTED_ADAPTER, text)


CHAIN: Final[tuple[Check, ...]] = (kind, experts, base_model, revision, rank)


def objection(facts: AdapterFacts, adapter: Adapter, d: Deployment) -> Verdict | None:
    """The first thing that forbids to load these files."""
    return next((said for check in CHAIN if (said := check(facts, adapter, d)) is not None), None)
