import math

import pytest

from slmfleet.kube.resources import Manifest
from slmfleet.kube.store import Change, Store


def pod(name: str, version: int, uid: str = "", **more: object) -> Manifest:
    metadata = {"namespace": "chat", "name": name, "uid": uid or name, "resourceVersion": str(version), **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def test_an_older_state_never_replaces_a_newer_one() -> None:
    store = Store()
    store.put(pod("a", 10))
    assert store.put(pod("a", 9)) is None
    assert store.put(pod("a", 10)) is None
    assert store.get(("chat", "a")) == pod("a", 10)


def test_versions_are_compared_as_numbers() -> None:
    store = Store()
    store.put(pod("a", 9))
    assert store.put(pod("a", 10)) == Change(pod("a", 9), pod("a", 10))


def test_a_deleted_object_does_not_come_back_from_old_news() -> None:
    store = Store()
    store.put(pod("a", 10))
    assert store.remove(pod("a", 12)) == Change(pod("a", 10), None)
    assert store.put(pod("a", 11)) is None
    assert store.put(pod("a", 13, uid="successor")) is not None


def test_the_deletion_of_a_predecessor_does_not_remove_its_successor() -> None:
    store = Store()
    store.put(pod("a", 10, uid="old"))
    store.put(pod("a", 12, uid="new"))
    assert store.remove(pod("a", 11, uid="old")) is None
    assert store.put(pod("a", 13, uid="old")) is None
    assert store.get(("chat", "a")) == pod("a", 12, uid="new")


def test_a_list_removes_what_it_lacks_but_not_what_is_newer_than_it() -> None:
    store = Store()
    store.put(pod("gone", 5))
    store.put(pod("kept", 6))
    store.put(pod("newer", 21))
    changes = store.replace([pod("kept", 6), pod("found", 7)], 20)
    assert changes == [Change(None, pod("found", 7)), Change(pod("gone", 5), None)]
    assert {o["metadata"]["name"] for o in store} == {"kept", "newer", "found"}


def test_a_list_of_one_namespace_says_nothing_about_the_others() -> None:
    store = Store()
    store.put(pod("a", 5))
    assert store.replace([], 20, "other") == []
    assert len(store) == 1


def test_managed_fields_are_not_kept_and_the_given_object_is_not_changed() -> None:
    store = Store()
    given = pod("a", 5, managedFields=[{"manager": "kubelet"}])
    store.put(given)
    assert store.get(("chat", "a")) == pod("a", 5)
    assert given == pod("a", 5, managedFields=[{"manager": "kubelet"}])


def test_an_object_that_left_a_selector_and_comes_back_is_known_again() -> None:
    store = Store()
    store.put(pod("a", 10))
    store.remove(pod("a", 12))
    assert store.put(pod("a", 12)) is None
    assert store.put(pod("a", 13)) == Change(None, pod("a", 13))
    assert store.remove(pod("a", 12)) is None
    assert store.get(("chat", "a")) == pod("a", 13)


def test_what_a_list_lacked_comes_back_only_with_a_state_that_is_newer_than_the_list() -> None:
    store = Store()
    store.put(pod("a", 5))
    store.replace([], 20)
    assert store.put(pod("a", 20)) is None
    assert store.replace([pod("a", 21)], 22) == [Change(None, pod("a", 21))]


@pytest.mark.parametrize("version", [11, 10**9])
def test_what_proved_to_be_gone_never_comes_back(version: int) -> None:
    store = Store()
    store.put(pod("a", 10))
    store.remove(pod("a", 10), math.inf)
    assert store.put(pod("a", version)) is None
