"""Who may connect to the engines, and how the NetworkPolicy comes and goes."""

from dataclasses import replace
from typing import Any

import pytest

from slmfleet.api.access import IPBlock, Peer
from slmfleet.core.types import Manifest, Observed, Ref

from .make import CONFIG, applied, child, condition, counts, decide, slm, stored

SAME_NAMESPACE: Manifest = {"podSelector": {}}
GATEWAY: Manifest = {
    "namespaceSelector": {"matchLabels": {"team": "web"}},
    "podSelector": {"matchLabels": {"app": "gw"}},
}
OPERATOR: Manifest = {"ipBlock": {"cidr": "192.0.2.7/32"}}
WITH_OPERATOR = replace(CONFIG, peers=(Peer(ip_block=IPBlock(cidr="192.0.2.7/32")),))
REF = Ref("networking.k8s.io/v1", "NetworkPolicy", "support-engine")


@pytest.mark.parametrize(
    ("access", "peers"),
    [
        ({}, [SAME_NAMESPACE, OPERATOR]),
        ({"from": [GATEWAY]}, [SAME_NAMESPACE, GATEWAY, OPERATOR]),
        ({"sameNamespace": False, "from": [GATEWAY]}, [GATEWAY, OPERATOR]),
        ({"sameNamespace": False}, [OPERATOR]),
    ],
)
def test_the_namespace_the_named_and_the_platform_get_in(access: dict[str, Any], peers: list[Manifest]) -> None:
    policy = child(decide(Observed(slm(access=access)), WITH_OPERATOR), "NetworkPolicy")
    assert policy["spec"] == {
        "podSelector": {"matchLabels": {"slmfleet.dev/deployment": "support"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": peers, "ports": [{"port": 8000, "protocol": "TCP"}]}],
    }


def test_where_nobody_is_named_nobody_gets_in() -> None:
    policy = child(decide(Observed(slm(access={"sameNamespace": False}))), "NetworkPolicy")
    assert policy["spec"]["ingress"] == []  # an entry without peers would let everybody in


def test_the_policy_stands_before_the_pods_do() -> None:
    kinds = [manifest["kind"] for manifest in decide(Observed(slm())).apply]
    assert kinds.index("NetworkPolicy") < kinds.index("Deployment")


def test_a_policy_of_ours_goes_once_it_is_switched_off() -> None:
    observed = applied(slm(), **counts(1, 1))
    p = decide(replace(observed, slm=slm(access={"networkPolicy": "None"})))
    assert p.delete == (replace(REF, uid="NetworkPolicy-uid"),)
    assert REF not in {Ref.of(manifest) for manifest in p.apply}


def test_a_strangers_policy_stays_when_ours_is_switched_off() -> None:
    observed = applied(slm(access={"networkPolicy": "None"}), **counts(1, 1))
    stranger = stored({"apiVersion": REF.api_version, "kind": REF.kind, "metadata": {"name": REF.name}})
    p = decide(replace(observed, children={**observed.children, REF: stranger}))
    assert p.delete == ()
    assert condition(p, "Accepted")[:2] == ("True", "Accepted")


def test_a_strangers_policy_of_our_name_is_a_conflict() -> None:
    stranger = stored({"apiVersion": REF.api_version, "kind": REF.kind, "metadata": {"name": REF.name}})
    p = decide(Observed(slm(), children={REF: stranger}))
    assert condition(p, "Accepted")[:2] == ("False", "NameConflict")
    assert p.apply == ()


def test_while_paused_the_policy_stays_as_it_is() -> None:
    observed = applied(slm(), **counts(1, 1))
    p = decide(replace(observed, slm=slm(access={"networkPolicy": "None"}, paused=True)))
    assert (p.apply, p.delete) == ((), ())


def test_another_scraper_changes_the_policy_and_no_template() -> None:
    observed = applied(slm(), **counts(1, 1))
    before, after = decide(observed), decide(observed, WITH_OPERATOR)
    assert child(before, "NetworkPolicy") != child(after, "NetworkPolicy")
    assert child(before, "Deployment") == child(after, "Deployment")
    assert before.status == after.status
