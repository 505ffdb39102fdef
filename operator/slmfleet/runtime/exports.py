"""What a scrape of the operator reads where it lives."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from slmfleet.core.autoscale.advice import Advice
from slmfleet.kube.cache import Cache
from slmfleet.kube.queue import WorkQueue
from slmfleet.kube.resources import Key, name_of
from slmfleet.metrics.registry import Metrics, ScalingRow

from .objects import Objects


def export(
    metrics: Metrics,
    *,
    leading: Callable[[], bool],
    queue: WorkQueue,
    objects: Objects,
    cache: Cache,
    decisions: Callable[[], Mapping[Key, Advice]],
) -> None:
    """Register everything that is read at the scrape."""
    metrics.gauge("leader", "1 while this replica reconciles.", lambda: float(leading()))
    metrics.gauge("queue_depth", "SLMDeployments that wait for a worker.", lambda: queue.depth)
    metrics.gauge("queue_oldest_seconds", "Age in seconds of the oldest of them.", queue.oldest_wait)
    metrics.gauge("slmdeployments", "SLMDeployments that exist.", lambda: len(objects.slms))
    metrics.gauge("loraadapters", "LoRAAdapters that exist.", lambda: len(objects.adapters))
    metrics.conditions(lambda: _conditions(objects))
    metrics.scaling(lambda: _decisions(decisions()))
    metrics.watch_restarts(lambda: _restarts(cache))


def _restarts(cache: Cache) -> Iterable[tuple[str, str, int]]:
    """Per resource: with several namespaces it has several watchers, but a series may appear only once."""
    total: Counter[tuple[str, str]] = Counter()
    for watcher in cache.watchers:
        for reason, count in watcher.restarts.items():
            total[watcher.resource.plural, reason] += count
    return [(*labels, count) for labels, count in total.items()]


def _decisions(made: Mapping[Key, Advice]) -> Iterable[ScalingRow]:
    for key, advice in made.items():
        decision = advice.decision
        needs = {need.name: need.replicas for need in decision.needs}
        yield ScalingRow(*key, decision.desired, decision.reason, needs, unread=bool(advice.missing))


def _conditions(objects: Objects) -> Iterable[tuple[str, str, str, str]]:
    for slm in objects.slms:
        for condition in (slm.get("status") or {}).get("conditions") or ():
            yield *name_of(slm), condition["type"], condition["status"]
