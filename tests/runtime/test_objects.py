import asyncio
from random import Random

import pytest

from slmfleet.kube.errors import NotFoundError, RefusedError
from slmfleet.kube.resources import Manifest
from slmfleet.runtime.objects import ACCELERATOR_CLASSES, LORA_ADAPTERS, SLM_DEPLOYMENTS, Objects, key_of
from tests.kube.fake import FakeClient

pytestmark = pytest.mark.looptime


def slm(name: str, accelerator: str = "l4", namespace: str = "chat") -> Manifest:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"accelerator": {"class": accelerator}}}


def accelerator(name: str, **spec: object) -> Manifest:
    return {"metadata": {"name": name}, "spec": spec}


def made(client: FakeClient, *namespaces: str) -> tuple[Objects, list[str]]:
    heard: list[str] = []
    objects = Objects(
        client,
        namespaces,
        on_change=lambda change: heard.append(key_of(change)[1]),
        on_adapter=lambda key, _: heard.append(f"adapter of {key[1]}"),
        rng=Random(1),
    )
    return objects, heard


async def test_the_first_sweep_reports_everything_and_the_next_only_news() -> None:
    client = FakeClient()
    objects, heard = made(client)
    for name in ("a", "b"):
        client.seed(SLM_DEPLOYMENTS, slm(name))
    await objects.load()
    assert heard == ["a", "b"]
    client.remove(SLM_DEPLOYMENTS, "chat", "a")
    client.seed(SLM_DEPLOYMENTS, slm("c"))
    heard.clear()
    await objects.sweep()
    assert heard == ["c", "a"]
    assert objects.slms.get(("chat", "a")) is None


async def test_a_watch_event_that_says_nothing_new_is_not_reported() -> None:
    client = FakeClient()
    objects, heard = made(client)
    obj = client.seed(SLM_DEPLOYMENTS, slm("a"))
    objects.slm_event(None, obj)
    objects.slm_event("MODIFIED", obj)
    assert heard == ["a"]
    objects.slm_event("DELETED", obj)
    assert heard == ["a", "a"]


async def test_a_changed_accelerator_class_concerns_those_who_name_it() -> None:
    client = FakeClient()
    objects, heard = made(client)
    for name, wanted in (("a", "l4"), ("b", "h100"), ("c", "l4")):
        client.seed(SLM_DEPLOYMENTS, slm(name, wanted))
    await objects.load()
    heard.clear()
    obj = client.seed(ACCELERATOR_CLASSES, accelerator("l4", memory="24Gi"))
    objects.accelerator_event("ADDED", obj)
    assert heard == ["a", "c"]
    found = objects.accelerator_of(slm("a"))
    assert found is not None
    assert found["spec"] == {"memory": "24Gi"}
    objects.accelerator_event("DELETED", obj)
    assert heard == ["a", "c", "a", "c"]
    assert objects.accelerator_of(slm("a")) is None


@pytest.mark.parametrize("spec", [{}, {"accelerator": None}, {"accelerator": "l4"}, {"accelerator": {}}])
async def test_a_spec_that_is_not_as_it_should_be_names_no_class(spec: Manifest) -> None:
    objects, _ = made(FakeClient())
    assert objects.accelerator_of({"metadata": {"name": "a", "namespace": "chat"}, "spec": spec}) is None


async def test_loading_waits_for_the_crds(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient()
    client.fail("list", "AcceleratorClass", NotFoundError("404 page not found"), RefusedError("forbidden"))
    client.seed(SLM_DEPLOYMENTS, slm("a"))
    objects, heard = made(client)
    await objects.load()
    assert heard == ["a"]
    assert 1 < asyncio.get_running_loop().time() <= 3
    assert "the kinds of slmfleet.dev/v1alpha1 are not installed: apply the CRDs" in caplog.text


async def test_only_the_given_namespaces_are_listed() -> None:
    client = FakeClient()
    for namespace in ("chat", "rag", "other"):
        client.seed(SLM_DEPLOYMENTS, slm(f"in-{namespace}", namespace=namespace))
    objects, heard = made(client, "chat", "rag")
    await objects.load()
    await objects.sweep()
    assert heard == ["in-chat", "in-rag"]


def adapter(name: str, deployment: str, version: int = 1, **metadata: object) -> Manifest:
    return {
        "metadata": {"name": name, "namespace": "chat", "uid": name, "resourceVersion": str(version), **metadata},
        "spec": {"deploymentRef": {"name": deployment}},
    }


def test_adapters_are_found_by_their_deployment_there_or_not() -> None:
    objects, heard = made(FakeClient())
    objects.adapter_event(None, adapter("legal", "a"))
    objects.adapter_event("ADDED", adapter("tax", "a"))
    assert heard == ["adapter of a"] * 2
    assert [each["metadata"]["name"] for each in objects.adapters_of(("chat", "a"))] == ["legal", "tax"]
    heard.clear()
    objects.adapter_event("DELETED", adapter("legal", "a", 2))
    objects.adapter_event("MODIFIED", adapter("tax", "b", 3))
    assert heard == ["adapter of a", "adapter of a", "adapter of b"]
    assert objects.adapters_of(("chat", "a")) == ()
    assert len(objects.adapters_of(("chat", "b"))) == 1


def test_an_adapter_on_its_way_out_is_none() -> None:
    objects, _ = made(FakeClient())
    objects.adapter_event(None, adapter("legal", "a", deletionTimestamp="2026-01-01T00:00:00Z"))
    assert objects.adapters_of(("chat", "a")) == ()


def test_our_own_status_of_an_adapter_is_no_news_unless_somebody_changed_more() -> None:
    objects, heard = made(FakeClient())
    before = adapter("legal", "a")
    objects.adapter_event(None, before)
    heard.clear()
    objects.adapter_answered(before, adapter("legal", "a", 2) | {"status": {"phase": "Ready"}})
    assert heard == []
    objects.adapter_answered(before, adapter("legal", "a", 3, labels={"a": "b"}))
    assert heard == ["adapter of a"] * 2


async def test_a_sweep_finds_adapters() -> None:
    client = FakeClient()
    objects, heard = made(client)
    client.seed(LORA_ADAPTERS, adapter("legal", "a"))
    await objects.sweep()
    assert heard == ["adapter of a"]
