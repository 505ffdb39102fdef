"""Whether this process still works: the reasons for which a restart would help."""

from collections.abc import Callable, Iterable
from typing import Final

from slmfleet.kube.cache import Cache
from slmfleet.kube.queue import WorkQueue

# Every call to the API server times out after 30 s, and one reconcile makes about a dozen.
WAIT_LIMIT: Final = 300.0
RUN_LIMIT: Final = 600.0
# A watch hears at least a bookmark a minute, and its own time limit ends a deaf connection after 150 s.
SILENCE_LIMIT: Final = 300.0

# Even a large cluster is listed in seconds.
READING_LIMIT: Final = 120.0

Check = Callable[[], Iterable[str]]


def reading_troubles(cache: Cache, seconds: float) -> Iterable[str]:
    """A leader that has been reading the cluster for `seconds` and reconciles nothing meanwhile."""
    if seconds > READING_LIMIT:
        waiting = sorted(
            {f"{w.resource.plural} ({w.trouble or 'no answer'})" for w in cache.watchers if not w.synced.is_set()}
        )
        missing = ", ".join(waiting) or "SLMDeployments"
        yield f"the cluster has been read for {seconds:.0f} s (limit {READING_LIMIT:.0f} s), still missing: {missing}"


def queue_troubles(queue: WorkQueue) -> Iterable[str]:
    """Work that nobody starts, or that never ends."""
    if (waited := queue.oldest_wait()) > WAIT_LIMIT:
        yield f"work has waited {waited:.0f} s for a worker (limit {WAIT_LIMIT:.0f} s)"
    if (running := queue.longest_run()) > RUN_LIMIT:
        yield f"a worker has been busy with one object for {running:.0f} s (limit {RUN_LIMIT:.0f} s)"


def watch_troubles(cache: Cache) -> Iterable[str]:
    """Watches that are deaf without knowing it; those that fail loudly wait for the API server, not for a restart."""
    for watcher in cache.watchers:
        if not watcher.trouble and (silence := watcher.silent()) > SILENCE_LIMIT:
            yield f"watch of {watcher.resource.plural} heard nothing for {silence:.0f} s (limit {SILENCE_LIMIT:.0f} s)"
