"""From the pages of a fleet's pods, look after look, to its Signals.

What each trouble means:

- A pod that could not be read, or whose page cannot be used, is missing at this look: it is in `ready` and not in
  `reporting`, and neither its last gauges nor zeros stand in for it.
- A pod that is read again after looks without it adds its share for one look, as if it had worked evenly meanwhile:
  who fills the gaps by what the others told has counted the rest. After FORGET_SECONDS it is a pod seen for the first
  time.
- The first page of a pod, and the first look at a fleet, tell gauges and no amounts: the counters may be days old.
- A counter that fell: the engine was started again, all of its counters began at 0, and what they show is what was
  added. One counter speaks for all of them, since a small one may have caught up with its past already.
- More than an engine can do (a counter that jumps up and down, as behind a proxy): the pod is seen for the first time.
- A clock that did not move on, or by more than FORGET_SECONDS: a first look at the fleet.
- An engine that runs requests while none of its numbers moves for `hung_after` seconds stands still. A step may take
  seconds, but chunks of long prompts move the KV cache and every output moves the steps.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from math import exp
from operator import attrgetter, lt
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar

from slmfleet.engine.histogram import Histogram
from slmfleet.engine.page import Page

from .advice import PodLoad
from .signals import Signals

Pod = TypeVar("Pod", bound=Hashable)

FORGET_SECONDS: Final = 60.0
"""Longer gaps say nothing about the last seconds."""
HUNG_SECONDS: Final = 30.0
"""Well above the longest step: 16,384 tokens of prefill take 8 s at 2,000 tokens a second, a slow CPU's speed."""
CACHE_SECONDS: Final = 300.0
"""Prompts that the prefix cache answered so long ago count 1/e."""
MAX_TOKENS_PER_SECOND: Final = 2e6
"""Of one server, above what eight of the fastest GPUs prefill from their caches."""
MAX_REQUESTS_PER_SECOND: Final = 2e4
"""Of one server, above what its HTTP layer can take."""


class Reading(NamedTuple):
    """A page and when it came, on the clock of the looks."""

    at: float
    page: Page


class Objectives(NamedTuple):
    """Seconds that count as late above them."""

    first_token: float
    token_gap: float


class _Amounts(NamedTuple):
    """What a pod's counters gained."""

    first_tokens: float
    late_first_tokens: float
    prompt_tokens: float
    cached_prompt_tokens: float
    generated_tokens: float
    finished: float
    finished_generated_tokens: float
    late_tokens: float
    token_gaps: float
    preemptions: float

    @property
    def least_seconds(self) -> float:
        """Seconds that an engine needs for it at the very least."""
        tokens = max(self.prompt_tokens, self.generated_tokens, self.finished_generated_tokens, self.token_gaps)
        requests = max(self.first_tokens, self.finished, self.preemptions)
        return max(tokens / MAX_TOKENS_PER_SECOND, requests / MAX_REQUESTS_PER_SECOND)


_NONE: Final = _Amounts(*(0.0,) * len(_Amounts._fields))
_NOBODY: Final[Mapping[Any, None]] = MappingProxyType({})
_counters: Final = attrgetter(
    "prompt_tokens",
    "cached_prompt_tokens",
    "generated_tokens",
    "preemptions",
    "finished",
    "finished_generated_tokens",
    "steps",
    "step_tokens",
    "queued",
)


class FleetLooks(Generic[Pod]):
    """The memory of one fleet between looks; pods are told apart by what the caller likes, such as their uids."""

    def __init__(self, hung_after: float = HUNG_SECONDS) -> None:
        self._hung_after = hung_after
        self._known: dict[Pod, _Known] = {}
        self._before: float | None = None
        self.hung: tuple[Pod, ...] = ()
        """Whose engine stood still at the last look."""
        self.loads: dict[Pod, PodLoad] = {}
        """What those had to do that the last look could read."""

    def look(
        self,
        now: float,
        ready: Mapping[Pod, Reading | None],
        pending: int,
        objectives: Objectives,
        others: Mapping[Pod, Reading | None] = _NOBODY,
    ) -> Signals:
        """One look. `now` is on a clock that only runs forward.

        `ready` has every pod that gets traffic, with the page that came since the look before, or None. `others` get
        none, because they are being emptied, say: they are no part of the signals, but of the loads and the hung.
        """
        seconds = 0.0 if self._before is None else now - self._before
        if not 0.0 < seconds <= FORGET_SECONDS:
            seconds = 0.0
            self._known.clear()
        read = {pod: reading for pod, reading in ready.items() if reading is not None}
        also = {pod: reading for pod, reading in others.items() if reading is not None}
        gained = {pod: self._gained(pod, reading, seconds, objectives) for pod, reading in (read | also).items()}
        self._remember(now, gained, read | also)
        known = [amounts for pod in read if (amounts := gained[pod]) is not None]
        self.hung = tuple(pod for pod in gained if self._stands_still(self._known[pod]))
        self.loads = {pod: self._known[pod].load for pod in gained}
        self._before = now
        pages = [reading.page for reading in read.values()]
        # A model without KV cache, or a capacity that nobody tells: neither side of the fraction.
        caches = [(page.kv_usage, page.kv_capacity) for page in pages if page.kv_usage is not None]
        return Signals(
            at=now,
            seconds=seconds,
            ready=len(ready),
            reporting=len(read),
            pending=pending,
            running=sum(page.running for page in pages),
            waiting=sum(page.waiting for page in pages),
            kv_tokens=sum(usage * capacity for usage, capacity in caches if capacity is not None),
            kv_capacity=sum(capacity for _, capacity in caches if capacity is not None),
            max_kv_usage=max((usage for usage, _ in caches), default=0.0),
            max_waiting=max((page.waiting for page in pages), default=0.0),
            **_Amounts(*map(sum, zip(_NONE, *known, strict=True)))._asdict(),
            measured=len(known),
            hung=sum(pod in read for pod in self.hung),
        )

    def _gained(self, pod: Pod, reading: Reading, seconds: float, objectives: Objectives) -> _Amounts | None:
        """What a pod added since the look before; None where that cannot be told."""
        if (known := self._known.get(pod)) is None:
            return None
        gap = reading.at - known.last.at
        before, after = known.last.page, reading.page
        if gap <= 0.0 or before.engines.keys() != after.engines.keys():
            return None
        amounts = _amounts(after, None if _restarted(before, after) else before, objectives)
        if amounts.least_seconds > gap:
            return None
        if known.reported:
            return amounts
        return _Amounts(*(value * min(1.0, seconds / gap) for value in amounts))

    def _remember(self, now: float, gained: Mapping[Pod, _Amounts | None], read: Mapping[Pod, Reading]) -> None:
        known = self._known
        for pod, reading in read.items():
            amounts = gained[pod]
            known.setdefault(pod, _Known(reading)).take(
                reading, 0.0 if amounts is None else amounts.cached_prompt_tokens
            )
        for pod in known.keys() - read.keys():
            known[pod].reported = False
            if now - known[pod].last.at > FORGET_SECONDS:
                del known[pod]

    def _stands_still(self, known: "_Known") -> bool:
        return any(known.last.at - since >= self._hung_after for since in known.still.values())


@dataclass(slots=True)
class _Known:
    """What is kept of a pod."""

    last: Reading
    reported: bool = True
    """At the look before."""
    still: dict[str, float] = field(default_factory=dict)
    """When its engines that have requests and do not move were first seen as they are."""
    cached: float = 0.0
    """Prompt tokens from its prefix cache, those of longer ago counting less and less."""

    @property
    def load(self) -> PodLoad:
        """What it has to do."""
        return PodLoad(self.last.page.running, self.last.page.waiting, self.cached)

    def take(self, reading: Reading, cached: float) -> None:
        """The next page, and the prompt tokens that the prefix cache answered since the one before."""
        if reading.at == self.last.at:
            return
        self.cached = cached + self.cached * exp((self.last.at - reading.at) / CACHE_SECONDS)
        before = self.last.page.engines
        self.still = {
            rank: self.still.get(rank, self.last.at)
            for rank, state in reading.page.engines.items()
            if state.running > 0 and state == before.get(rank)
        }
        self.last, self.reported = reading, True


def _restarted(before: Page, after: Page) -> bool:
    """Whether a counter fell."""
    return (
        any(map(lt, _counters(after), _counters(before)))
        or after.first_token.fell_since(before.first_token)
        or after.token_gap.fell_since(before.token_gap)
    )


def _amounts(after: Page, before: Page | None, objectives: Objectives) -> _Amounts:
    """What was added between two pages of one engine, or since its start."""

    def late(later: Histogram, earlier: Histogram | None, limit: float) -> tuple[float, float]:
        count, over = later.count, later.over(limit)
        if earlier is not None:
            count, over = count - earlier.count, over - earlier.over(limit)
        return count, min(count, max(0.0, over))  # interpolated: what one bucket gave may seem to leave another

    first_tokens, late_first_tokens = late(
        after.first_token, before.first_token if before else None, objectives.first_token
    )
    token_gaps, late_tokens = late(after.token_gap, before.token_gap if before else None, objectives.token_gap)

    def added(name: str) -> float:
        value: float = getattr(after, name) - (getattr(before, name) if before else 0.0)
        return value

    return _Amounts(
        first_tokens=first_tokens,
        late_first_tokens=late_first_tokens,
        prompt_tokens=added("prompt_tokens"),
        cached_prompt_tokens=added("cached_prompt_tokens"),
        generated_tokens=added("generated_tokens"),
        finished=added("finished"),
        finished_generated_tokens=added("finished_generated_tokens"),
        late_tokens=late_tokens,
        token_gaps=token_gaps,
        preemptions=added("preemptions"),
    )
