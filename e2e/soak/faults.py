"""What a failing machine does to engines and operators, and what the operators' logs say to it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from e2e.harness.installation import TAKEOVER_SECONDS, Installation
from e2e.harness.namespace import Namespace

PAUSE_SECONDS = 2.0
_ERROR = re.compile(r"^\S+ (ERROR|CRITICAL) |^Traceback ")
"""As the operator's text log marks them."""


def keep_on(step: Callable[[], None], seconds: float) -> None:
    """A step, a pause, and again, until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        step()
        time.sleep(PAUSE_SECONDS)


@dataclass
class Faults:
    """Kills of engines in one namespace and of the operator."""

    chat: Namespace
    operator: Installation
    _errors: list[str] = field(default_factory=list)
    """What operators that are gone had to say."""

    def kill_pods(self, *selected: str) -> None:
        """A node loses the pods of these names, or with the labels after `-l`."""
        self.chat.kubectl("delete", "pod", *selected, "--grace-period=0", "--force", "--wait=false")

    def kill_leader(self) -> bool:
        """A node loses the operator; False while its last loss is not yet noticed."""
        leader = self.operator.leader()
        if leader not in self.operator.pods():
            return False
        self._errors += self._said(leader)
        self.operator.kill(leader)
        return True

    def over(self) -> None:
        """Wait until the operator works again."""
        self.operator.eventually(
            lambda: self.operator.leader() in self.operator.pods(), "a replica leads", TAKEOVER_SECONDS + 60
        )

    def bugs(self) -> list[str]:
        """The errors in the logs of all operators so far, and reconciles of the leader's that ended in one."""
        outcomes = self.operator.metric(self.operator.leader(), "slmfleet_reconcile_total")
        said = [line for pod in self.operator.pods() for line in self._said(pod)]
        return [*self._errors, *said, *(labels for labels in outcomes if "bug" in labels)]

    def _said(self, pod: str) -> list[str]:
        log = self.operator.kubectl("logs", pod, "--tail=-1")
        return [f"{pod}: {line}" for line in log.splitlines() if _ERROR.match(line)]
