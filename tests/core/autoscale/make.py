"""Looks and situations for tests: a fleet that does the same every second unless told otherwise."""

from dataclasses import replace
from typing import Any

from slmfleet.core.autoscale.decision import Bound, Situation
from slmfleet.core.autoscale.settings import Settings
from slmfleet.core.autoscale.signals import Signals
from slmfleet.engine.steptime import StepTime

L4 = StepTime(a=0.067, p=260e-6, d=75e-6, kappa=0.55e-6)
SETTINGS = Settings(ttft_objective=5.0, step_time=L4)

FLOOR, CEILING = Bound(1, "spec.scaling.minReplicas"), Bound(50, "spec.scaling.maxReplicas")


def look(at: float, **fields: Any) -> Signals:
    """Four pods: 2 requests/s of 1,000 + 200 tokens, a resident context of 1,000 tokens.

    So few run that no length of steps is measured: what is known of the accelerator stays as it is.
    """
    made = Signals(
        at=at,
        seconds=1.0,
        ready=4,
        reporting=4,
        pending=0,
        running=0.5,
        waiting=0.0,
        kv_tokens=500.0,
        kv_capacity=120_000.0,
        max_kv_usage=0.01,
        max_waiting=0.0,
        first_tokens=2.0,
        late_first_tokens=0.0,
        prompt_tokens=2_000.0,
        cached_prompt_tokens=0.0,
        generated_tokens=400.0,
        finished=2.0,
        finished_generated_tokens=400.0,
        late_tokens=0.0,
        token_gaps=400.0,
        preemptions=0.0,
    )
    return replace(made, **fields)


def situation(now: float, current: int = 4, **fields: Any) -> Situation:
    made = Situation(
        now=now,
        current=current,
        floor=FLOOR,
        ceiling=CEILING,
        lead_p50=110.0,
        lead_p90=180.0,
        rolling_out=False,
    )
    return replace(made, **fields)
