"""Requests through the simulator's model of an engine, on a virtual clock."""

from dataclasses import dataclass

import numpy as np

from bench.autoscale.fleet.requests import Floats, Requests
from slmfleet.simulator.records import EngineModel
from slmfleet.simulator.steps import StepModel


@dataclass(frozen=True, slots=True)
class Replayed:
    """In the order of the requests."""

    tokens: tuple[Floats, ...]
    """Second of each token of a request."""
    steps: int

    @property
    def first(self) -> Floats:
        """Second of each first token."""
        return np.array([times[0] for times in self.tokens])

    @property
    def gaps(self) -> Floats:
        """Seconds between tokens, of all requests."""
        return np.concatenate([np.diff(times) for times in self.tokens])


def replay(model: EngineModel, requests: Requests) -> Replayed:
    """What the model says of the requests. A request that arrives during a step is seen after it."""
    engine = StepModel(model)
    tokens: list[list[float]] = [[] for _ in range(len(requests))]
    now, arrived, steps = 0.0, 0, 0
    while arrived < len(requests) or engine.has_work:
        if not engine.has_work:
            now = max(now, float(requests.arrival[arrived]))
        while arrived < len(requests) and requests.arrival[arrived] <= now:
            engine.add(arrived, int(requests.prompt[arrived]), int(requests.output[arrived]))
            arrived += 1
        now += engine.schedule().seconds
        steps += 1
        for key in engine.complete().emitted:
            tokens[key].append(now)
    return Replayed(tuple(np.array(times) for times in tokens), steps)
