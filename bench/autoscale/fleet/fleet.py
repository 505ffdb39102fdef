"""The fleet on its virtual clock."""

import numpy as np

from bench.autoscale.policy import Look
from slmfleet.simulator.records import EngineModel

from .compiled import compiled_drive
from .lifecycle import Lifecycle
from .looks import Observer
from .requests import Requests, Results
from .settings import Settings
from .setup import parts_for
from .state import BOOTING, PENDING, READY


class Fleet:
    """Pods of one model behind one router."""

    def __init__(self, requests: Requests, engine: EngineModel, settings: Settings, seed: int = 0) -> None:
        """Deterministic in its arguments; the n-th pod's start time depends on the seed and n alone.

        Raises ValueError for requests or an engine that could never run.
        """
        self.now = 0.0
        """Simulated seconds."""
        self._requests, self._settings = requests, settings
        parts = parts_for(requests, engine, settings, seed)
        self._pods = Lifecycle(parts, settings, seed)
        self._timeline = self._pods.timeline()[::-1]
        self._observer = Observer(
            requests, len(parts.arrays.pods), engine.num_blocks * engine.block_size, late=settings.router == "late"
        )
        self.advance(0.0)

    @property
    def asked(self) -> int:
        """Replicas that are asked for: the pods that do not drain."""
        return self._pods.count(PENDING, BOOTING, READY)

    @property
    def ready(self) -> int:
        """Pods that take new requests."""
        return self._pods.count(READY)

    @property
    def unschedulable(self) -> int:
        """Pods that wait for a GPU beyond the quota."""
        return self._pods.count(PENDING)

    @property
    def done(self) -> bool:
        """Whether every request is answered or has failed."""
        return bool(self._pods.arrays.state.ended == len(self._requests))

    def advance(self, to: float) -> None:
        """Let the clock run to a second, what is due then included."""
        while self._timeline and self._timeline[-1][0] <= to:
            at, happen = self._timeline.pop()
            compiled_drive(at, *self._pods.parts.compiled)
            happen()
        compiled_drive(to, *self._pods.parts.compiled)
        self.now = to

    def scale(self, desired: int) -> None:
        """Ask for so many replicas, at most Settings.quota.

        Fewer: those go first that have no GPU yet, then those that boot, then the ready ones with the fewest requests.
        """
        change = min(max(desired, 0), self._settings.quota) - self.asked
        if change > 0:
            self._pods.grow(change, self.now)
        elif change < 0:
            self._pods.shrink(-change, self.now)

    def look(self, lag: float = 0.0) -> Look:
        """What the fleet showed `lag` whole seconds ago; to be called once every simulated second."""
        self._observer.take(self.now, self._pods.parts.compiled)
        return self._observer.ago(round(lag))

    def results(self) -> Results:
        """What has happened so far."""
        first, finish, output, failed, cached, preemptions = (
            self._pods.parts.column("requests", field).copy()
            for field in ("first", "finish", "output", "failed", "cached", "preemptions")
        )
        answered = np.isfinite(finish)
        tpot = np.full(len(finish), np.inf)
        tpot[answered] = (finish[answered] - first[answered]) / np.maximum(output[answered] - 1, 1)
        lives = self._pods.arrays.lives[: self._pods.created]
        log = np.array(self._observer.log).reshape(-1, 4)
        at, (asked, ready, gpus) = log[:, 0], log[:, 1:].astype(np.int64).T
        return Results(
            ttft=first - self._requests.arrival,
            finish=finish,
            tpot=tpot,
            failed=failed,
            cached=cached,
            preemptions=int(preemptions.sum()),
            steps=int(self._pods.arrays.state.steps),
            pods=lives[np.isfinite(lives[:, 0])].copy(),
            at=at,
            asked=asked,
            ready=ready,
            gpus=gpus,
        )
