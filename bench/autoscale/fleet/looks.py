"""What a fleet shows, as the policies see it."""

from array import array
from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.autoscale.policy import Look
from slmfleet.core.autoscale.signals import Gateway, Signals

from . import observe
from .compiled import compiled_observe
from .requests import Requests
from .state import COUNTERS

_LONGEST_LAG: Final = 120


class Observer:
    """Takes looks, and remembers the latest."""

    def __init__(self, requests: Requests, places: int, kv_tokens: int, *, late: bool) -> None:
        self._prompts = np.concatenate([[0], np.cumsum(requests.prompt)])
        self._late = late
        self._before = np.zeros((places, COUNTERS), np.int64)
        self._read = np.full(places, -1, np.int64)
        self._shown = np.zeros(COUNTERS, np.int64)
        self._row = np.zeros(observe.COLUMNS)
        self._capacity = np.full(places, float(kv_tokens))
        self._arrived = 0
        self.log = array("d")
        """Of every look four numbers: when, and how many pods were asked for, were ready and held a GPU."""
        self._looks: deque[Look] = deque(maxlen=_LONGEST_LAG + 1)

    def take(self, now: float, compiled: tuple[NDArray[Any], ...]) -> None:
        """Look at the fleet."""
        rows = np.empty((3, len(self._capacity)))
        compiled_observe(now, self._before, self._read, self._shown, self._row, rows, *compiled)
        row = self._row.tolist()
        arrived, ended, asked, gpus = map(int, row[observe.ARRIVED : observe.MEASURED])
        signals = self._signals(row, now, arrived)
        count = signals.reporting
        look = Look(
            signals=signals,
            running=rows[0, :count],
            waiting=rows[1, :count],
            kv_usage=rows[2, :count],
            kv_capacity=self._capacity[:count],
            arrived=float(arrived - self._arrived),
            in_flight=float(arrived - ended),
        )
        self._arrived = arrived
        self._looks.append(look)
        self.log.extend((now, asked, signals.ready, gpus))

    def ago(self, looks: int) -> Look:
        """What was seen so many looks ago, or the oldest that is remembered."""
        return self._looks[max(0, len(self._looks) - 1 - looks)]

    def _signals(self, row: list[float], now: float, arrived: int) -> Signals:
        gateway = None
        if self._late:
            prompts = float(self._prompts[arrived] - self._prompts[self._arrived])
            queued, tokens, oldest = row[observe.QUEUED : observe.ARRIVED]
            gateway = Gateway(queued, tokens, oldest, float(arrived - self._arrived), prompts)
        seconds = now - self._looks[-1].signals.at if self._looks else 0.0
        ready, reporting, pending = map(int, row[: observe.RUNNING])
        # The rest is in the order of observe's columns, which is that of Signals.
        values: list[Any] = [now, seconds, ready, reporting, pending, *row[observe.RUNNING : observe.QUEUED], gateway]
        values += map(int, row[observe.MEASURED :])
        return Signals(*values)
