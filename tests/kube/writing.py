"""A child, and who writes it."""

from slmfleet.kube.apply import Applier
from slmfleet.kube.resources import Manifest

from .fake import FakeClient

OWNER = ("chat", "support")


def service(**spec: object) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "support", "namespace": "chat", "labels": {"a": "b"}},
        "spec": spec,
    }


def applier(client: FakeClient) -> Applier:
    return Applier(client, lambda: 30.0)
