"""One fleet's scaler: it takes in looks, and says how many replicas there should be.

Up at once and by any number; down only on complete data, and not before the load has been lower for a while.
"""

import math

from slmfleet.core.autoscale.decision import Bound, Decision, Need, Situation
from slmfleet.core.autoscale.history import Highest
from slmfleet.core.autoscale.load import Load
from slmfleet.core.autoscale.needs import needs
from slmfleet.core.autoscale.settings import Learned, Settings
from slmfleet.core.autoscale.signals import Signals

TOLERATED = 0.25
"""Of a replica, that may be missing."""
HOLD = 60.0
"""Seconds that the load must have been lower before replicas go."""
HOLD_LEAN = 30.0
"""The same where the error budget allows everything."""
STALE = 60.0
"""Seconds after which a look says nothing about the present."""
LOST_AFTER = 60.0
"""Seconds after which a replica that is asked for, but neither ready nor on its way, is made up for by another."""
LOST_SHARE = 4
"""At most one in so many is made up for: where more fail, more of the same helps nobody."""
DEAD_BAND = (0.05, 0.15)
"""Share of the replicas that must be missing before a lean fleet grows: least and most."""
WAKE_TOKENS = 2.0
"""How many mean requests' context each waiting request is counted as, at a wake."""


class Scaler:
    """One fleet's memory and rule; no I/O, no clock."""

    def __init__(self, settings: Settings, learned: Learned | None = None) -> None:
        self.settings = settings
        self.load = Load(settings, learned or Learned())
        self._lead = 120.0
        self.needed = Highest(HOLD)
        self._covered = Highest(LOST_AFTER)
        """The replicas that exist, ready or on their way, less those asked for: the best of the last minute."""
        self._first_decision: float | None = None

    def look(self, signals: Signals) -> None:
        """Take in one look, every second or two."""
        self.load.take(signals, self._lead)

    def learned(self) -> Learned:
        """What the next scaler of this fleet should start with."""
        load, model = self.load, self.load.model
        answered, late, seconds = load.budget.account()
        known = load.seconds > 0
        return Learned(
            capacity=round(load.capacity.value, 2),
            speed=round(model.speed, 2),
            output_tokens=round(model.output) if known else None,
            prompt_tokens=round(model.prompt) if known else None,
            context_tokens=round(model.context) if known else None,
            kv_capacity=round(model.kv_capacity) or None,
            answered=round(answered),
            late=round(late),
            seconds=round(seconds),
        )

    def decide(self, situation: Situation) -> Decision:
        """How many replicas there should be."""
        self._lead = (situation.lead_p50 + situation.lead_p90) / 2 + 5
        if situation.current == 0:
            return bounded(situation, *self._wake(situation))
        signals = self.load.last
        if signals is None or situation.now - signals.at > STALE:
            return bounded(situation, situation.current, "noData", "no pod could be read yet", ())
        if signals.reporting == 0 and signals.ready > 0 and signals.gateway is None:
            why = f"none of {signals.ready} ready pods can be read: what they do is not known"
            return bounded(situation, situation.current, "noData", why, ())
        return self._by_load(situation, signals)

    def considered(self) -> tuple[Need, ...]:
        """What each consideration asks for at present."""
        return needs(self.load, self._lead)

    def _by_load(self, situation: Situation, signals: Signals) -> Decision:
        found = self.considered()
        top = max(found, key=lambda need: need.replicas)
        now, current = situation.now, situation.current
        self.needed.add(now, top.replicas)
        lost = self._lost(situation, signals)
        have = current - lost
        up = math.ceil(top.replicas - TOLERATED)
        lean = self.load.budget.dial.hold
        low, high = DEAD_BAND
        band = have * lean * min(high, max(low, 0.15 * self._lead / 60))
        if up > have and top.replicas > have + band:
            return bounded(situation, up + lost, top.name, top.formula, found)
        held = self.needed.at(now, HOLD + lean * (HOLD_LEAN - HOLD))
        down = max(math.ceil(held - TOLERATED), 0 if self._idle(situation) else 1)
        if down >= have:
            return bounded(situation, current, top.name, top.formula, found)
        if situation.floor.replicas >= current:
            return bounded(situation, down, top.name, top.formula, found)
        why = self._kept(situation, signals)
        if why is not None:
            return bounded(situation, current, *why, found)
        if down == 0:
            seconds = self.settings.idle_after
            return bounded(situation, 0, "idle", f"no request for {seconds:.0f} s", found)
        return bounded(situation, down + lost, top.name, top.formula, found)

    def _kept(self, situation: Situation, signals: Signals) -> tuple[str, str] | None:
        """Why nothing may be taken away at present; None where it may."""
        load, now = self.load, situation.now
        if signals.reporting < signals.ready:
            return "noData", f"{signals.ready - signals.reporting} of {signals.ready} ready pods cannot be read"
        if load.incomplete is not None and now - load.incomplete < HOLD:
            return "noData", "some pods could not be read a moment ago"
        if situation.rolling_out:
            return "rollingOut", "pods are being replaced"
        if load.started is None or now - load.started < self.settings.settle:
            return "settling", f"the load has not been seen for {self.settings.settle:.0f} s yet"
        return None

    def _idle(self, situation: Situation) -> bool:
        """Whether the fleet may go to zero."""
        after, load = self.settings.idle_after, self.load
        if after is None or situation.floor.replicas > 0 or situation.wake > 0 or load.started is None:
            return False
        since = load.started if load.requested is None else max(load.started, load.requested)
        return situation.now - since >= after

    def _wake(self, situation: Situation) -> tuple[int, str, str, tuple[Need, ...]]:
        """From zero straight to what waits."""
        load, signals = self.load, self.load.last
        gateway = signals.gateway.requests if signals and signals.gateway else 0.0
        waiting = max(float(situation.wake), gateway)
        if waiting <= 0:
            return 0, "idle", "nothing asks for this fleet", ()
        load.requested = situation.now
        model = load.model
        tokens = waiting * model.context * WAKE_TOKENS
        replicas = tokens / (self.settings.kv_target * model.kv_capacity) if model.kv_capacity > 0 else 1.0
        need = Need("wake", replicas, f"{waiting:.0f} requests wait for a fleet without replicas")
        return max(1, math.ceil(replicas - TOLERATED)), "wake", need.formula, (need,)

    def _lost(self, situation: Situation, signals: Signals) -> int:
        """Replicas that are asked for but neither serve nor come: broken, or never made."""
        missing = situation.current - signals.ready - signals.pending
        self._covered.add(situation.now, -max(0.0, float(missing)))
        if self._first_decision is None:
            self._first_decision = situation.now
        if situation.rolling_out or signals.ready == 0 or situation.now - self._first_decision < LOST_AFTER:
            return 0
        lost = round(-self._covered.at(situation.now))
        return min(lost, max(1, situation.current // LOST_SHARE))


def bounded(situation: Situation, wanted: int, reason: str, why: str, found: tuple[Need, ...]) -> Decision:
    """The decision for what is wanted, within the bounds; the ceiling wins over the floor."""
    bound: Bound | None = None
    desired = wanted
    if desired < situation.floor.replicas:
        desired, bound = situation.floor.replicas, situation.floor
    if desired > situation.ceiling.replicas:
        desired, bound = situation.ceiling.replicas, situation.ceiling
    if bound is not None:
        why = f"{why}; {bound.why} keeps it at {desired}"
        reason = "floor" if bound is situation.floor else "ceiling"
    change = f"{desired}" if desired == situation.current else f"{situation.current} -> {desired}"
    return Decision(desired, reason, f"{change}: {why}", found, bound)
