"""A fleet of simulated vLLM engines on a virtual clock: routers, pods that boot and drain, faults.

fleet = Fleet(requests, EngineModel(...), Settings(router="late", replicas=4, quota=20), seed=1)
while fleet.now < end:
    fleet.advance(fleet.now + 1)
    policy.look(fleet.look(policy.lag))
    fleet.scale(policy.desired(fleet.now, fleet.asked, fleet.ready))
results = fleet.results()
"""

from .faults import CrashLoop, Fault, Hang, Quota, ScrapeOutage, SlowStart
from .fleet import Fleet
from .requests import Requests, Results
from .settings import Settings

__all__ = [
    "CrashLoop",
    "Fault",
    "Fleet",
    "Hang",
    "Quota",
    "Requests",
    "Results",
    "ScrapeOutage",
    "Settings",
    "SlowStart",
]
