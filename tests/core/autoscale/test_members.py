from typing import Any

import pytest

from slmfleet.core.autoscale.members import Member, pending, serving

from .pods import NOW, pod, started

OUT = {"slmfleet.dev/traffic": "false"}


def test_ready_pods_that_nobody_deletes_answer_even_while_they_are_emptied() -> None:
    pods = [
        started("a"),
        pod("b", scheduled=1.0),
        started("c", labels=OUT),
        started("d", deleting=True),
        started("e", address=""),
    ]
    assert serving(pods) == [
        Member("a", "support-a", "10.0.0.1"),
        Member("c", "support-c", "10.0.0.1"),
        Member("e", "support-e", ""),
    ]


CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("waits for a node", {}, True),
    ("loads", {"scheduled": 1.0, "started": 2.0}, True),
    ("image is pulled", {"scheduled": 1.0, "waiting": "ContainerCreating"}, True),
    ("older than a start takes", {"created": -301.0}, False),
    ("about to be as old", {"created": -300.0}, True),
    ("image is not there", {"scheduled": 1.0, "waiting": "ImagePullBackOff"}, False),
    ("the registry does not answer", {"scheduled": 1.0, "waiting": "RegistryUnavailable"}, False),
    ("its image may not be pulled", {"scheduled": 1.0, "waiting": "ErrImageNeverPull"}, False),
    ("its secret is missing", {"scheduled": 1.0, "waiting": "CreateContainerConfigError"}, False),
    ("crashes", {"scheduled": 1.0, "waiting": "CrashLoopBackOff", "restarts": 3}, False),
    ("runs again after a crash", {"scheduled": 1.0, "started": 2.0, "restarts": 1}, False),
    ("evicted", {"phase": "Failed"}, False),
    ("is deleted", {"deleting": True}, False),
    ("is not to get traffic", {"labels": OUT}, False),
    ("ready", {"scheduled": 1.0, "started": 2.0, "ready": 3.0}, False),
]


@pytest.mark.parametrize(("facts", "counts"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_pod_on_its_way_counts_unless_it_is_broken_or_overdue(facts: dict[str, Any], counts: bool) -> None:
    assert bool(pending([pod(**facts)], NOW, expiry=300.0)) is counts


def test_a_pod_without_any_status_is_on_its_way() -> None:
    bare = {"metadata": {"name": "a", "uid": "a", "labels": {"slmfleet.dev/traffic": "true"}}}
    assert pending([bare], NOW, expiry=300.0) == [bare]
    assert serving([bare]) == []
