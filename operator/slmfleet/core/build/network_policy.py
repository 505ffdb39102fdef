"""The NetworkPolicy."""

from collections.abc import Iterable

from slmfleet.api.access import Access, Peer
from slmfleet.api.labels import LabelSelector
from slmfleet.core.names import Names
from slmfleet.core.types import Manifest
from slmfleet.engine.container import PORT


def network_policy(names: Names, access: Access, platform: Iterable[Peer]) -> Manifest | None:
    """Who may connect to the engines: the namespace, the spec's peers and the platform's; none where it is not ours.

    Ingress only: what an engine must reach (a model hub, object storage, DNS) has no address that could be written
    here. The kubelet's probes need no entry, a node always reaches its own pods.
    """
    if access.network_policy == "None":
        return None
    same = [Peer(pod_selector=LabelSelector())] if access.same_namespace else []
    peers = [peer.to_manifest() for peer in [*same, *(access.from_ or ()), *platform]]
    # The port's number: not every network plug-in knows the ports of a pod by name.
    ports = [{"port": PORT, "protocol": "TCP"}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(names.network_policy),
        "spec": {
            "podSelector": {"matchLabels": names.selector},
            "policyTypes": ["Ingress"],
            # A rule without peers would let everybody in; no rule lets nobody in.
            "ingress": [{"from": peers, "ports": ports}] if peers else [],
        },
    }
