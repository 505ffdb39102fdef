"""What a fleet's looks say about its load: the memory behind every decision.

Its clock counts the seconds that were seen. While no pod can be read it stands still: what is not known is not zero,
and what was known does not grow old meanwhile.
"""

from slmfleet.core.autoscale.budget import Budget
from slmfleet.core.autoscale.capacity import Capacity
from slmfleet.core.autoscale.history import Highest, Recent, Totals
from slmfleet.core.autoscale.settings import Learned, Settings
from slmfleet.core.autoscale.signals import Signals
from slmfleet.core.autoscale.surprises import Surprises
from slmfleet.core.autoscale.work import Field, WorkModel, coverage

MEAN = 30
"""Seconds that a load is the mean of: shorter ones see single requests, longer ones come late."""
SHORTEST = 10
"""Seconds that must be known before there is a mean."""
PEAK = 300
"""Seconds that the highest load is kept for."""
PEAK_OF_WAVES = 1800
"""The same where surprises recur."""
USEFUL = 120
"""For so long at least a peak is remembered once the replica that it asked for has started."""
BINS = 600
"""Seconds that totals reach back to."""


class Load:
    """One fleet's load so far."""

    def __init__(self, settings: Settings, learned: Learned) -> None:
        self.settings = settings
        self.model = WorkModel(settings, learned)
        self.capacity = Capacity(settings, learned.capacity)
        self.budget = Budget(settings, learned)
        self.surprises = Surprises(settings)
        self.totals = Totals(len(Field), BINS)
        self.last: Signals | None = None
        self.started: float | None = None
        """When the first look was, on the caller's clock."""
        self.incomplete: float | None = None
        """When a pod's signals were last missing."""
        self.requested: float | None = None
        """When a request was last seen anywhere."""
        self.mean = 0.0
        """Work that comes in a second, over the last MEAN seconds: replicas, if each does what the model says."""
        self.means = Recent(PEAK)
        self.peaks = Highest(PEAK_OF_WAVES)
        self._lead = 0.0
        self._binned = 0.0
        self._carried = [0.0] * len(Field)

    @property
    def seconds(self) -> int:
        """How long the load has been seen."""
        return self.totals.bins

    @property
    def peak(self) -> float:
        """The highest mean of the seconds that are remembered."""
        return self.peaks.at(self.seconds, self.remembers)

    @property
    def remembers(self) -> int:
        """Seconds that the highest load is kept for at present."""
        if self.surprises.recur:
            return PEAK_OF_WAVES
        return min(PEAK_OF_WAVES, max(PEAK, round(self._lead) + USEFUL))

    def take(self, signals: Signals, lead: float) -> None:
        """Take in a look; `lead` is how many seconds a new replica takes."""
        if self.last is None:
            self.started = self._binned = signals.at
        self.last, self._lead = signals, lead
        if requests_in(signals) > 0:
            self.requested = signals.at
        if signals.reporting < signals.ready:
            self.incomplete = signals.at
        arrivals = self.model.arrivals(signals)
        if signals.seconds <= 0 or (signals.reporting == 0 and signals.gateway is None):
            self._binned = signals.at
            return
        scale = coverage(signals)
        amounts = (
            arrivals.requests,
            arrivals.tokens,
            signals.first_tokens,
            signals.prompt_tokens,
            signals.cached_prompt_tokens,
            signals.finished,
            signals.finished_generated_tokens,
            signals.generated_tokens,
            signals.running * signals.seconds,
            signals.kv_tokens * signals.seconds,
            signals.reporting * signals.seconds,
            self.model.work(arrivals),
            self.model.served(signals) * scale,
        )
        self._bin(signals.at, amounts)
        self.model.take(signals, self.totals)
        self.capacity.take(signals, self.totals)
        first, late = signals.first_tokens * scale, signals.late_first_tokens * scale
        self.surprises.take(signals.seconds, first, late)
        if self.settings.holds_back:
            self.budget.take(signals.seconds, first, late, self._overdue(), lead)

    def recent(self, seconds: int) -> float:
        """Work that came in a second, over the last `seconds`."""
        known = min(seconds, self.seconds)
        return max(0.0, self.totals.over(Field.WORK, known)) / known if known else 0.0

    def _bin(self, at: float, amounts: tuple[float, ...]) -> None:
        """Spread a look's amounts over the whole seconds since the last bin; parts of a second wait for the next."""
        carried = [carry + amount for carry, amount in zip(self._carried, amounts, strict=True)]
        seconds = int(at - self._binned + 0.01)
        if seconds < 1:
            self._binned = min(self._binned, at)  # the clock went back: what came belongs to the time before
            self._carried = carried
            return
        self._binned += seconds
        self._carried = [0.0] * len(Field)
        seconds = min(seconds, BINS)
        each = tuple(amount / seconds for amount in carried)
        for _ in range(seconds):
            self._second(each)

    def _second(self, amounts: tuple[float, ...]) -> None:
        self.totals.add(amounts)
        if self.seconds < SHORTEST:
            return
        self.mean = self.recent(MEAN)
        self.means.add(self.mean)
        self.peaks.add(self.seconds, self.mean)

    def _overdue(self) -> float:
        """Requests that wait and are late already: all but those that came within the objective."""
        assert self.last is not None
        young = self.totals.over(Field.ARRIVED, round(self.settings.ttft))
        return max(0.0, waiting(self.last) - young)


def waiting(signals: Signals) -> float:
    """Requests that wait for their prefill, in engines and in front of them."""
    in_front = signals.gateway.requests if signals.gateway else 0.0
    return signals.waiting * coverage(signals) + in_front


def requests_in(signals: Signals) -> float:
    """Requests that were seen anywhere at a look."""
    arrived = signals.gateway.arrived if signals.gateway else 0.0
    return signals.running + waiting(signals) + signals.first_tokens + arrived
