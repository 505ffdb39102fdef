"""plan(): from what is observed to what is to be done.

Level-triggered: any call, in any order, any number of times, after any crash, ends in the same place. Nothing is
written for a spec that cannot be carried out, for a paused one, or while a child's name belongs to somebody else; what
runs then goes on running.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from slmfleet.api.conditions import Reason
from slmfleet.engine.resolution import Resolution

from .accept import Accepted, accept
from .adapters.fleet import adapters_plan, unserved
from .build.children import children, revision_of
from .build.guard import config_map_of
from .guard_token import missing_secret
from .names import Names
from .pods import SETUP_SECONDS, PodFacts, inquiries, pod_facts
from .problems import Verdict, bounded, find_problem, refusal
from .revisions import Revision, expired
from .scale import Scaled, scale, wanted_replicas
from .status import Target, accepted_status, rejected_status, transitions
from .types import Config, Manifest, Observed, Plan, Ref

OPTIONAL_KINDS: Final = frozenset({"ServiceAccount", "NetworkPolicy"})
"""Children that a spec may want and another not; what a user keeps something in is none of them."""
RECHECK_SECONDS: Final = 30.0
"""A stranger's object carries no label of ours, so its deletion is not seen: look again."""


def plan(observed: Observed, config: Config, now: datetime) -> Plan:
    """The writes, the status and the events that bring one SLMDeployment closer to its spec. Pure."""
    names = Names.of(observed.slm)
    accepted = accept(observed.slm, observed.accelerator)
    if isinstance(accepted, Verdict):
        return _rejected(observed, accepted, now)
    revision = revision_of(names, accepted, _revisions(observed, names), observed.adapters, config)
    if revision is None:
        return _rejected(observed, accepted.refusal, now, accepted.resolution)
    deployment = _deployment(observed)
    wanted = wanted_replicas(observed, accepted.spec, deployment, now)
    adapters = adapters_plan(observed, accepted, revision, wanted, config, now)
    scaled = scale(observed, accepted.spec, deployment, revision.name, wanted, adapters.spreads, now)
    desired = children(names, accepted, revision, config, scaled.replicas)
    desired += [adapters.table] if adapters.table is not None else []
    if (conflict := _conflict(names, observed, desired)) is not None:
        return _rejected(observed, conflict, now, accepted.resolution, requeue_after=RECHECK_SECONDS)
    pods = _pods(observed, now)
    problem = _problem(observed, pods)
    # What is refused to an adapter is its own trouble, and it says so.
    if failures := [failure for failure in observed.failures if not failure.adapter]:
        status = rejected_status(observed.slm, refusal(failures[0]), deployment, problem, now, accepted.resolution)
    else:
        target = Target(scaled.replicas, observed.advice, observed.cold_start, adapters.ready)
        status = accepted_status(observed.slm, accepted, revision, target, deployment, problem, now)
    told = Plan(
        status=status,
        events=transitions(observed.slm, status),
        inquiries=(*inquiries(pods, observed.answers), *adapters.plan.inquiries),
        outcomes=adapters.plan.outcomes,
        # A kubelet that waits for a volume changes nothing in the pod: look again.
        requeue_after=float(SETUP_SECONDS) if any(pod.being_set_up for pod in pods) else None,
    )
    if accepted.spec.paused:
        return told
    secret = missing_secret(names, revision.template, deployment, observed.answers.values(), config)
    return _writing(
        told,
        scaled,
        adapters.plan,
        # The Secret first: no pod may be made that waits for it.
        apply=(*([] if secret is None else [secret]), *desired, *adapters.plan.apply),
        delete=_obsolete(names, observed, desired, revision, accepted),
    )


def _writing(
    told: Plan, scaled: Scaled, adapters: Plan, *, apply: tuple[Manifest, ...], delete: tuple[Ref, ...]
) -> Plan:
    """The same plan with everything that is to be written."""
    seconds = (told.requeue_after, scaled.requeue_after, adapters.requeue_after)
    waits = [each for each in seconds if each is not None]
    return replace(
        told,
        patches=(*scaled.patches, *adapters.patches),
        apply=apply,
        delete=(*delete, *scaled.delete, *adapters.delete),
        tables=adapters.tables,
        inspections=adapters.inspections,
        events=(*told.events, *scaled.events),
        orders=scaled.orders,
        requeue_after=min(waits, default=None),
    )


def _rejected(
    observed: Observed,
    verdict: Verdict,
    now: datetime,
    resolution: Resolution | None = None,
    *,
    requeue_after: float | None = None,
) -> Plan:
    pods = _pods(observed, now)
    status = rejected_status(observed.slm, verdict, _deployment(observed), _problem(observed, pods), now, resolution)
    return Plan(
        status=status,
        events=transitions(observed.slm, status),
        inquiries=inquiries(pods, observed.answers),
        outcomes=unserved(observed.adapters, _unaccepted(observed, verdict), now, keep=True),
        requeue_after=requeue_after,
    )


def _conflict(names: Names, observed: Observed, desired: list[Manifest]) -> Verdict | None:
    for manifest in desired:
        existing = observed.children.get(Ref.of(manifest))
        if existing is not None and not names.owns(existing):
            ref = Ref.of(existing)
            advice = "Delete or rename it, or give this SLMDeployment another name"
            if names.owned_before(existing):
                advice = "It belonged to an earlier SLMDeployment of this name and goes by itself"
            what = f'a {ref.kind} named "{ref.name}" exists and is not ours'
            return Verdict(Reason.NAME_CONFLICT, f"{what}; it is left as it is and nothing is started. {advice}")
    return None


def _unaccepted(observed: Observed, verdict: Verdict) -> Verdict:
    text = f"SLMDeployment {observed.slm['metadata']['name']} is not accepted: {verdict.message}"
    return Verdict(Reason.DEPLOYMENT_NOT_ACCEPTED, bounded(text))


def _obsolete(
    names: Names, observed: Observed, desired: list[Manifest], revision: Revision, accepted: Accepted
) -> tuple[Ref, ...]:
    """Children of ours that nothing needs any more.

    Old revisions and the ConfigMaps that only they mount, and what the spec has switched off.
    """
    refs = expired(_revisions(observed, names), revision.name)
    refs += _unmounted(names, observed, {ref.name for ref in refs})
    accounts = {accepted.spec.pod.service_account_name, *(p["spec"].get("serviceAccountName") for p in observed.pods)}
    refs += [
        replace(ref, uid=child["metadata"]["uid"])
        for ref, child in observed.children.items()
        if ref.kind in OPTIONAL_KINDS
        and names.owns(child)
        and not (ref.kind == "ServiceAccount" and ref.name in accounts)
    ]
    wanted = {Ref.of(manifest) for manifest in desired}
    return tuple(ref for ref in refs if Ref(ref.api_version, ref.kind, ref.name) not in wanted)


def _unmounted(names: Names, observed: Observed, expired_revisions: set[str]) -> list[Ref]:
    kept = [r for r in _revisions(observed, names) if r["metadata"]["name"] not in expired_revisions]
    mounted = {config_map_of(template) for template in (*(r["data"]["template"] for r in kept), *observed.pods)}
    return [
        replace(ref, uid=child["metadata"]["uid"])
        for ref, child in observed.children.items()
        if ref.kind == "ConfigMap" and ref.name not in mounted and names.owns(child)
    ]


def _revisions(observed: Observed, names: Names) -> list[Manifest]:
    return [m for ref, m in observed.children.items() if ref.kind == "ControllerRevision" and names.owns(m)]


def _deployment(observed: Observed) -> Manifest | None:
    """Our Deployment; a stranger's says nothing about our pods."""
    names = Names.of(observed.slm)
    found = observed.children.get(Ref("apps/v1", "Deployment", names.name))
    return found if found is not None and names.owns(found) else None


def _pods(observed: Observed, now: datetime) -> list[PodFacts]:
    return sorted((pod_facts(pod, now) for pod in observed.pods), key=lambda pod: pod.name)


def _problem(observed: Observed, pods: list[PodFacts]) -> Verdict | None:
    return find_problem(pods, _deployment(observed), observed.answers)
