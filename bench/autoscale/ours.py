"""slmfleet's scaler as a policy, and without each of its parts: what each is worth is measured, not believed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from bench.autoscale.hardware import MAX_NUM_SEQS
from bench.autoscale.policy import Look, Policy
from bench.autoscale.run import GOAL, Setting
from slmfleet.core.autoscale.budget import Budget
from slmfleet.core.autoscale.capacity import Capacity
from slmfleet.core.autoscale.decision import Bound, Need, Situation
from slmfleet.core.autoscale.history import Highest, Totals
from slmfleet.core.autoscale.load import MEAN
from slmfleet.core.autoscale.scaler import Scaler
from slmfleet.core.autoscale.settings import Learned, Settings
from slmfleet.core.autoscale.surprises import Surprises
from slmfleet.core.autoscale.work import WorkModel

PERIOD: Final = 2.0
LAG: Final = 1.0
WITH_ITL: Final = "slmfleet-itl"
"""With an objective for the time between tokens too, which the others cannot be given."""


class Slmfleet:
    """The product's Scaler, as the operator's loop drives it: a look every second, a decision every two."""

    period = PERIOD
    lag = LAG

    def __init__(self, name: str, setting: Setting, scaler: Scaler) -> None:
        self.name = name
        self._setting = setting
        self._scaler = scaler

    def look(self, look: Look) -> None:
        """A scrape of the engines."""
        self._scaler.look(look.signals)

    def desired(self, now: float, current: int, ready: int) -> int:  # noqa: ARG002 - the signals tell who is ready
        """A decision; the cold-start ledger knows the usual start times, whatever a fault does to them."""
        s = self._setting
        decision = self._scaler.decide(
            Situation(
                now=now,
                current=current,
                floor=Bound(1, "spec.scaling.minReplicas"),
                ceiling=Bound(s.quota, "quota"),
                lead_p50=s.start_p50,
                lead_p90=s.start_p90,
                rolling_out=False,
            )
        )
        return decision.desired


def settings(setting: Setting) -> Settings:
    """What a user would write: the objective, nothing tuned. The step times are those of the accelerator's class."""
    gpu = setting.gpu
    return Settings(
        ttft_objective=gpu.ttft,
        step_time=gpu.step,
        max_num_seqs=MAX_NUM_SEQS,
        allowed_late=1 - GOAL,
        holds_back=setting.router == "late",
    )


class Without(Scaler):
    """The scaler without some of its considerations."""

    def __init__(self, known: Settings, dropped: frozenset[str]) -> None:
        super().__init__(known)
        self._dropped = dropped

    def considered(self) -> tuple[Need, ...]:
        """All needs but those dropped."""
        return tuple(need for need in super().considered() if need.name not in self._dropped)


def _without(*names: str) -> Callable[[Settings], Scaler]:
    return lambda known: Without(known, frozenset(names))


class Believed(Capacity):
    """A replica does what the model says, whatever is measured."""

    def take(self, *_: object) -> None:
        """Learn nothing from a look."""


class Promised(WorkModel):
    """Steps take what the accelerator's class promises."""

    def measure(self, totals: Totals) -> None:
        """Learn nothing from how long steps take."""


class Unsurprised(Surprises):
    """Nothing comes in waves."""

    def take(self, *_: object) -> None:
        """Count nothing."""


class Unspent(Budget):
    """No miss is counted, and every known margin kept."""

    def take(self, *_: object) -> None:
        """Offer nothing after a look."""


def _no_learning(known: Settings) -> Scaler:
    scaler = Scaler(known)
    scaler.load.capacity = Believed(known, Learned().capacity)
    return scaler


def _no_speed(known: Settings) -> Scaler:
    scaler = Scaler(known)
    scaler.load.model = Promised(known, Learned())
    return scaler


def _no_waves(known: Settings) -> Scaler:
    scaler = Scaler(known)
    scaler.load.surprises = Unsurprised(known)
    return scaler


def _no_memory(known: Settings) -> Scaler:
    scaler = Scaler(known)
    scaler.load.peaks = Highest(MEAN)
    return scaler


def _no_hold(known: Settings) -> Scaler:
    scaler = Scaler(known)
    scaler.needed = Highest(2 * PERIOD)
    return scaler


def _no_budget(known: Settings) -> Scaler:
    scaler = Scaler(known)
    scaler.load.budget = Unspent(known, Learned())
    return scaler


def _no_prior(known: Settings) -> Scaler:
    return Scaler(replace(known, step_time=None))


def _with_itl(goal: float, known: Settings) -> Scaler:
    return Scaler(replace(known, itl_objective=goal))


PARTS: Final[Mapping[str, Callable[[Settings], Scaler]]] = {
    "slmfleet-minus-backlog": _without("backlog"),
    "slmfleet-minus-kv": _without("kvCache"),
    "slmfleet-minus-learning": _no_learning,
    "slmfleet-minus-speed": _no_speed,
    "slmfleet-minus-waves": _no_waves,
    "slmfleet-minus-memory": _no_memory,
    "slmfleet-minus-hold": _no_hold,
    "slmfleet-minus-budget": _no_budget,
    "slmfleet-minus-prior": _no_prior,
}


VARIANTS: Final = (WITH_ITL, *PARTS)


def maker(name: str) -> Callable[[Setting], Policy]:
    """How slmfleet, or a variant without a part, is made."""
    build: Callable[[Settings], Scaler] = PARTS.get(name, Scaler)
    if name == WITH_ITL:
        return lambda setting: Slmfleet(name, setting, _with_itl(setting.gpu.itl, settings(setting)))
    return lambda setting: Slmfleet(name, setting, build(settings(setting)))
