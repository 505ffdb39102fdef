"""The fleet's events in the order of time: compiled."""

import numpy as np

from .pods import begin_work, boot, finish_work, leave
from .router import bind, demote, demotion_due
from .state import BOOTING, DRAINING, READY, Arrays


def drive(fleet: Arrays, to: float) -> None:
    """Let everything happen that is due at a second or before."""
    state = fleet.state
    while True:
        place = fleet.first_due[1]
        pod_due = fleet.due[place]
        arrival = fleet.arrivals[state.arrived] if state.arrived < len(fleet.requests) else np.inf
        demotion = demotion_due(fleet)
        now = min(pod_due, arrival, demotion)
        if now > to:
            return
        if pod_due <= now:
            _pod_event(fleet, place, now)
        elif arrival <= now:
            # Others that wait already have found no pod, and who comes last changes nothing for them.
            alone = state.queued == state.arrived
            state.queued_tokens += fleet.requests[state.arrived].prompt
            state.arrived += 1
            if alone:
                bind(fleet, now, -1)
        else:
            demote(fleet, now)
            bind(fleet, now, -1)


def _pod_event(fleet: Arrays, place: int, now: float) -> None:
    pod = fleet.pods[place]
    if pod.phase == BOOTING:
        if boot(fleet, place, now):
            bind(fleet, now, place)
        return
    if pod.phase == DRAINING and now >= pod.drain_until:
        leave(fleet, place, now)
        return
    finish_work(fleet, place, now)
    if pod.phase == READY:
        bind(fleet, now, place)
    begin_work(fleet, place, now)
