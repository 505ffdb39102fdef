"""What several autoscalers read in the same way."""

from collections import deque

import numpy as np

from bench.autoscale.policy import Floats, Look

PROMETHEUS_LAG = 15.0
"""Seconds: a scrape every 15 s and the adapter's query are 15 s old on average when the HPA's loop of 15 s reads them,
and up to 30 s when the next change is made."""


def waiting(look: Look) -> Floats:
    """Requests that wait, for each pod. A gateway's queue is told as if the pods shared it."""
    held = look.signals.gateway.requests if look.signals.gateway is not None else 0.0
    values: Floats = look.waiting + held / max(1, len(look.waiting))
    return values


class Window:
    """Numbers with their times, as far back as `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._points: deque[tuple[float, float]] = deque()

    def add(self, at: float, value: float) -> None:
        """Take in a number and forget what is too old."""
        self._points.append((at, value))
        while self._points[0][0] <= at - self.seconds:
            self._points.popleft()

    def within(self, since: float) -> list[float]:
        """The numbers after `since`."""
        return [value for at, value in self._points if at > since]

    def mean(self) -> float:
        """Of all that is kept; 0 where nothing is."""
        return sum(value for _, value in self._points) / len(self._points) if self._points else 0.0

    def total(self) -> float:
        """The sum of all that is kept."""
        return sum(value for _, value in self._points)

    def __len__(self) -> int:
        return len(self._points)


class PodMaximum:
    """max_over_time for each pod: pods are told apart by their place, as long as their number stays."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._points: deque[tuple[float, Floats]] = deque()

    def add(self, at: float, values: Floats) -> None:
        """Take in one number for each pod."""
        if self._points and len(self._points[-1][1]) != len(values):
            # Pods came or went: the places no longer mean the same pods.
            self._points.clear()
        self._points.append((at, values))
        while self._points[0][0] <= at - self.seconds:
            self._points.popleft()

    def values(self) -> Floats:
        """The highest of the window, for each pod."""
        if not self._points:
            return np.zeros(0)
        highest: Floats = np.max([values for _, values in self._points], axis=0)
        return highest
