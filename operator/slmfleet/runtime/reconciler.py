"""One reconcile: look, decide, write, tell."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from slmfleet.core.autoscale.advice import Advice
from slmfleet.core.build.guard import token
from slmfleet.core.names import ADAPTER, Names
from slmfleet.core.pod_status import incarnation
from slmfleet.core.types import (
    Config,
    Manifest,
    Observed,
    Plan,
    PodPatch,
    Ref,
    WriteFailure,
)
from slmfleet.kube.apply import Applier
from slmfleet.kube.cache import Cache
from slmfleet.kube.client import Client
from slmfleet.kube.errors import (
    ConflictError,
    KubeError,
    NamespaceGoneError,
    NotFoundError,
    NotLeaderError,
    RefusedError,
    TransientError,
)
from slmfleet.kube.events import Recorder
from slmfleet.kube.queue import Result
from slmfleet.kube.resources import CREATE_ONLY, PODS, Key, name_of, resource_of, uid_of
from slmfleet.kube.status import StatusWriter
from slmfleet.metrics.registry import Metrics

from .adapters import Adapters
from .cold_starts import ColdStarts
from .guards import Guards
from .inquiries import Inquiries, read
from .log import about
from .objects import SLM_DEPLOYMENTS, Objects
from .outcomes import tell_adapters, without_deployment

# Each round learns of objects or logs that the decision asked for; the second one usually asks for nothing.
_ROUNDS: Final = 8
# A namespace can hang in its deletion for hours.
_GOING_SECONDS: Final = 60.0
_HUNG_GRACE: Final = 30
"""Seconds for a pod that hangs: its requests never end, and nobody should wait for them."""

logger = logging.getLogger(__name__)

Planner = Callable[[Observed, Config, datetime], Plan]


@dataclass(frozen=True)
class Access:
    """The ways to the API server that a reconcile takes."""

    client: Client
    cache: Cache
    applier: Applier
    status: StatusWriter
    recorder: Recorder
    inquiries: Inquiries
    guards: Guards
    adapters: Adapters
    advice: Callable[[Key], Advice | None]
    """The scaling loop's last word about a fleet."""


@dataclass(frozen=True)
class Reconciler:
    """Brings one SLMDeployment closer to its spec, each time it is called with its key."""

    plan: Planner
    config: Config
    access: Access
    objects: Objects
    metrics: Metrics
    wall: Callable[[], datetime]
    cold_starts: ColdStarts = field(default_factory=ColdStarts)

    async def __call__(self, key: Key) -> Result:
        """One reconcile; what goes wrong is logged, counted and tried again, never raised."""
        began = time.perf_counter()
        outcome, result = await self._guarded(key)
        self.metrics.reconciles.labels(outcome).inc()
        self.metrics.seconds.observe(time.perf_counter() - began)
        return result

    async def _guarded(self, key: Key) -> tuple[str, Result]:
        subject = about(key)
        try:
            return await self._reconcile(key)
        except TransientError as error:
            logger.warning("put off: %s", error, extra=subject)
            return "transient", Result(failed=True, pause=error.retry_after or 0.0)
        except NamespaceGoneError as error:
            logger.info("the namespace goes, and this with it: %s", error, extra=subject)
            return "gone", Result(_GOING_SECONDS)
        except NotLeaderError as error:
            logger.info("left to the next leader: %s", error, extra=subject)
            return "fenced", Result()  # this process ends, and who comes next looks at everything
        except RefusedError as error:
            logger.warning("refused: %s", error, extra=subject)
            return "refused", Result(failed=True)
        except (ConflictError, NotFoundError) as error:
            logger.info("somebody else wrote at the same time, looking again: %s", error, extra=subject)
            return "conflict", Result(failed=True)
        except KubeError as error:
            logger.warning("put off: %s", error, extra=subject)
            return "transient", Result(failed=True)
        except Exception:  # a bug that one object brings out must not end the process or delay the others
            logger.exception("reconcile failed", extra=subject)
            return "bug", Result(failed=True)

    async def _reconcile(self, key: Key) -> tuple[str, Result]:
        slm = self.objects.slms.get(key)
        if slm is None or slm["metadata"].get("deletionTimestamp"):
            # Garbage collection takes the children; adapters stay, and say so.
            alone = without_deployment(key, self.objects.adapters_of(key), self.wall())
            await tell_adapters(self.access.status, self.access.recorder, self.objects, alone)
            return "ok", Result()
        decision = await self._decide(self._observe(slm))
        creates = any(Ref.of(manifest) not in decision.observed.children for manifest in decision.plan.apply)
        if creates and not await self._stands(slm):
            return "ok", Result()
        await self._mark(key, decision.plan.patches)
        failures = await self._apply_all(key, decision)
        if failures:
            observed = replace(decision.observed, failures=tuple(failures))
            decision = replace(decision, plan=self.plan(observed, self.config, self.wall()))
        # Nothing is deleted while what should replace it is missing; what one adapter lacks holds up no other one.
        held_up = [failure for failure in failures if not failure.adapter]
        if not held_up:
            await self._delete(key, decision.plan.delete)
        secret = token(Names.of(slm), self.config.key)
        self.access.guards.tell(key, decision.plan.orders, secret)
        self.access.adapters.follow(key, decision.plan.tables, decision.plan.inspections, secret)
        await self._tell(slm, decision.plan)
        await tell_adapters(self.access.status, self.access.recorder, self.objects, decision.plan.outcomes)
        after = decision.plan.requeue_after
        return "refused" if failures else "ok", Result(after, failed=bool(held_up))

    def _observe(self, slm: Manifest) -> Observed:
        key = name_of(slm)
        everything = self.access.cache.children(key)
        pods = tuple(child for child in everything if child["kind"] == PODS.kind)
        return Observed(
            slm=slm,
            children={Ref.of(child): child for child in everything if child["kind"] != PODS.kind},
            pods=pods,
            accelerator=self.objects.accelerator_of(slm),
            advice=self.access.advice(key),
            cold_start=self.cold_starts.see(slm, pods).status(),
            told=self.access.guards.told(key, [uid_of(pod) for pod in pods]),
            adapters=self.objects.adapters_of(key),
            reports=self.access.adapters.reports(key, {uid_of(pod): incarnation(pod) for pod in pods}),
            inspected=self.access.adapters.inspected(key),
        )

    async def _stands(self, slm: Manifest) -> bool:
        """Whether the API server still has this very object; what it has instead is taken in.

        Asked before anything is created: were its deletion missed, we would make its children again and again while
        garbage collection takes them.
        """
        metadata = slm["metadata"]
        try:
            found = await self.access.client.get(SLM_DEPLOYMENTS, metadata["namespace"], metadata["name"])
        except NotFoundError:
            self.objects.gone(slm)
            return False
        self.objects.answered(slm, found)
        return uid_of(found) == uid_of(slm) and not found["metadata"].get("deletionTimestamp")

    async def _decide(self, observed: Observed) -> "_Decision":
        """Plan until nothing is left that the plan wants to know: what has its children's names, and why pods died.

        Only then is anything written: a stranger's object carries no label of ours and is in no cache, and applying
        over it would hand it to garbage collection.
        """
        absent: set[Ref] = set()
        for _ in range(_ROUNDS):
            plan = self.plan(observed, self.config, self.wall())
            readable = {Ref.of(m) for m in plan.apply if m["kind"] not in CREATE_ONLY}
            unknown = readable - observed.children.keys() - absent
            wanted = [inquiry for inquiry in plan.inquiries if inquiry.key not in observed.answers]
            if not unknown and not wanted:
                return _Decision(observed, plan)
            namespace = observed.slm["metadata"]["namespace"]
            found = await read(self.access.client, namespace, unknown)
            absent |= unknown - found.keys()
            texts = await asyncio.gather(*(self.access.inquiries.answer(namespace, inquiry) for inquiry in wanted))
            answers = dict(zip((inquiry.key for inquiry in wanted), texts, strict=True))
            children = {**observed.children, **found}
            observed = replace(observed, children=children, answers={**observed.answers, **answers})
        raise RuntimeError(f"the plan still asks for more after {_ROUNDS} rounds")

    async def _mark(self, key: Key, patches: Iterable[PodPatch]) -> None:
        """Say on the pods who takes part; what fails ends this reconcile, since the replicas must not shrink then."""
        for patch in patches:
            ref = patch.ref
            written = await self.access.applier.mark(
                key[0], ref.name, ref.uid, patch.labels, patch.annotations, about=patch.about
            )
            self.access.cache.put(written)

    async def _apply_all(self, key: Key, decision: "_Decision") -> list[WriteFailure]:
        """Every child in order, and what was refused.

        Nothing comes after a refused child of a kind that cannot be looked for: what mounts it would count as a sign
        that it is there.
        """
        failures = []
        for manifest in decision.plan.apply:
            if (failure := await self._apply(key, decision, manifest)) is not None:
                failures.append(failure)
                if failure.ref.kind in CREATE_ONLY:
                    break
        return failures

    async def _apply(self, key: Key, decision: "_Decision", manifest: Manifest) -> WriteFailure | None:
        """Apply one child. A refusal is for the status to tell; everything else ends this reconcile."""
        ref = Ref.of(manifest)
        live = decision.observed.children.get(ref)
        try:
            if ref.kind in CREATE_ONLY:
                await self.access.applier.create(key, manifest)
                return None
            written = await self.access.applier.apply(key, manifest, live)
        except RefusedError as error:
            logger.warning("%s %s refused: %s", ref.kind, ref.name, error, extra=about(key))
            return WriteFailure(ref, str(error), manifest["metadata"].get("labels", {}).get(ADAPTER, ""))
        except NamespaceGoneError:
            raise
        except (ConflictError, NotFoundError):
            if live is not None:
                await self._reread(key, ref, live)
            raise
        if written is not None:
            self.access.cache.put(written)
        return None

    async def _reread(self, key: Key, ref: Ref, live: Manifest) -> None:
        """The cache was behind: do not wait for the watch to say what the API server already told."""
        found = await read(self.access.client, key[0], [ref])
        if ref in found:
            self.access.cache.put(found[ref])
        else:
            self.access.cache.drop(live)

    async def _delete(self, key: Key, refs: Iterable[Ref]) -> None:
        for ref in refs:
            grace = _HUNG_GRACE if ref.kind == PODS.kind else None
            resource = resource_of(ref.api_version, ref.kind)
            await self.access.applier.delete(key, resource, ref.name, ref.uid, grace=grace)

    async def _tell(self, slm: Manifest, plan: Plan) -> None:
        """Write the status, then post the events: they tell of a change that is only one once it is stored."""
        try:
            written = await self.access.status.write(SLM_DEPLOYMENTS, slm, plan.status)
        except (NotFoundError, ConflictError):
            if await self._stands(slm):
                raise
            return
        if written is not None:
            self.objects.answered(slm, written)
        for event in plan.events:
            await self.access.recorder.post(
                slm, kind=event.type, reason=event.reason, action=event.action, note=event.note
            )


@dataclass(frozen=True)
class _Decision:
    """A plan and what it was made from."""

    observed: Observed
    plan: Plan = field(default_factory=Plan)
