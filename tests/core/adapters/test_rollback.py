"""A return to an earlier digest: its files are known, so nothing is fetched, and it has the name once engines list it."""

import json
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from slmfleet.core.adapters.files import KEPT_FETCHES
from slmfleet.core.build.fetch_job import wanted_digest
from slmfleet.core.times import stamp
from slmfleet.core.types import Manifest
from tests.core.make import NOW

from .make import FACTS, HEX, World, adapter, digest, engine_name, path, ready, report

V1, V2 = engine_name("v1"), engine_name("v2")


def want(world: World, version: str) -> None:
    """The manifest of a version is applied."""
    world.adapters["legal"] = adapter(version=version, status=world.adapters["legal"].get("status"))
    world.step()


def done(world: World, at: datetime = NOW) -> None:
    """All Jobs that run fetch what they are to."""
    for job in world.jobs.values():
        if "status" not in job:
            ended = {"type": "Complete", "status": "True", "lastTransitionTime": stamp(at)}
            job["status"] = {"conditions": [ended]}
            world.words[f"{job['metadata']['uid']}/Complete"] = json.dumps({**FACTS, "digest": wanted_digest(job)})
    world.step()


def fetched(world: World) -> set[str | None]:
    """The digests of the Jobs that there are."""
    return {wanted_digest(job) for job in world.jobs.values()}


def created(world: World) -> list[Manifest]:
    return [manifest for manifest in world.plan.apply if manifest["kind"] == "Job"]


def moved() -> World:
    """v2 has followed v1, which soaks."""
    world = ready()
    want(world, "v2")
    done(world)
    world.reported(report(["v1", "v2"], "v1"))
    world.reported(report(["v1", "v2"], "v2"))
    assert world.table() == {V2: "legal", V1: None}
    return world


def drained() -> World:
    """The same, and no engine has v1 any more."""
    world = moved()
    status = world.adapters["legal"]["status"]
    status["movedAt"] = stamp(NOW - timedelta(seconds=61))
    world.reported(report(["v2"], "v2"))
    assert world.table() == {V2: "legal"}
    return world


def test_a_return_to_a_version_that_soaks_moves_the_name_at_once() -> None:
    world = moved()
    want(world, "v1")
    assert created(world) == []
    assert world.table() == world.table("support-2") == {V1: "legal", V2: None}
    assert world.condition("Fetched") == ("True", "Fetched")
    assert (world.outcome().status["version"], world.outcome().status["rank"]) == ("1" * 12, 8)


def test_a_return_to_a_version_that_drains_takes_no_job_and_waits_until_all_engines_list_it() -> None:
    world = drained()
    drains = report(["v2"], "v2")
    drains["adapters"][V1] = {"path": path("v1"), "state": "Draining"}
    world.reported(drains)
    want(world, "v1")
    assert created(world) == []
    assert world.table() == {V2: "legal", V1: None}
    world.reported(report(["v1", "v2"], "v2"), "support-1")
    assert world.table() == {V2: "legal", V1: None}
    world.reported(report(["v1", "v2"], "v2"))
    assert world.table() == {V1: "legal", V2: None}


def test_a_return_to_a_version_that_is_no_longer_loaded_takes_a_load_alone() -> None:
    world = drained()
    want(world, "v1")
    assert created(world) == []
    assert world.table() == {V2: "legal", V1: None}
    assert world.condition("Loaded") == ("False", "Loading")
    world.reported(report(["v1", "v2"], "v2"))
    assert world.table() == {V1: "legal", V2: None}


def test_a_change_of_mind_while_the_new_version_is_fetched_fetches_nothing() -> None:
    world = ready()
    want(world, "v2")
    assert fetched(world) == {digest("v1"), digest("v2")}
    want(world, "v1")
    assert created(world) == []
    assert world.condition("Ready") == ("True", "Ready")
    assert fetched(world) == {digest("v1")}  # nobody wants v2 any more


def test_files_that_vanished_meanwhile_are_fetched_again() -> None:
    world = drained()
    for job in world.jobs.values():
        job["status"]["conditions"][0]["lastTransitionTime"] = stamp(NOW - timedelta(seconds=600))
    want(world, "v1")
    world.reported(report(["v2"], "v2", v1="NotFound"))
    assert [ref.kind for ref in world.plan.delete] == ["Job"]
    assert world.message("Fetched") == "pod support-1 does not find the files: they are fetched again"
    world.step()
    assert [wanted_digest(job) for job in created(world)] == [digest("v1")]
    assert world.table() == {V2: "legal"}
    done(world)
    assert world.table() == {V2: "legal", V1: None}


def test_a_job_whose_pod_is_gone_fetches_again_and_is_no_failure() -> None:
    world = drained()
    for job in world.jobs.values():
        job["status"]["conditions"][0]["lastTransitionTime"] = stamp(NOW - timedelta(seconds=600))
        world.words[f"{job['metadata']['uid']}/Complete"] = ""
    want(world, "v1")
    assert [ref.kind for ref in world.plan.delete] == ["Job"]
    assert world.condition("Fetched") == ("False", "Fetching")
    assert world.message("Fetched").endswith(" told went with its pod: it fetches again")
    assert world.outcome().events == ()
    assert world.table() == {V2: "legal"}
    world.step()
    assert [wanted_digest(job) for job in created(world)] == [digest("v1")]


def test_the_jobs_of_versions_that_are_loaded_and_the_last_ones_stay() -> None:
    world = ready()
    for seconds, version in enumerate(("v2", "v3", "v4", "v5"), 1):
        want(world, version)
        done(world, NOW + timedelta(seconds=seconds))
    assert fetched(world) == {digest(f"v{n}") for n in (1, 2, 3, 4, 5)}
    want(world, "v6")
    assert fetched(world) == {digest(f"v{n}") for n in (1, 3, 4, 5, 6)}, "v1 serves"
    world.adapters["legal"]["status"] = {}
    world.step()
    assert fetched(world) == {digest(f"v{n}") for n in (3, 4, 5, 6)}


EVENTS = st.lists(
    st.tuples(st.sampled_from(["want", "fetch", "load", "load"]), st.sampled_from([*HEX]), st.booleans()), max_size=40
)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_what_the_status_names_is_never_fetched_and_never_named_before_engines_list_it(
    events: list[tuple[str, str, bool]],
) -> None:
    world = ready()
    pods = ("support-1", "support-2")
    loaded: dict[str, set[str]] = {pod: {"v1"} for pod in pods}
    at = NOW
    for what, version, first in events:
        at += timedelta(seconds=1)
        status = world.adapters["legal"]["status"]
        known = {part["digest"] for name in ("active", "previous") if (part := status.get(name)) is not None}
        if what == "want":
            want(world, version)
        elif what == "fetch":
            done(world, at)
        else:
            pod = pods[not first]
            loaded[pod] = {v for v in HEX if engine_name(v) in world.table(pod)}
            has = next((v for v in loaded[pod] if world.table(pod)[engine_name(v)]), None)
            world.reported(report(sorted(loaded[pod]), has), pod)
        assert known.isdisjoint(wanted_digest(job) for job in created(world))
        assert len(world.jobs) <= 1 + 2 + KEPT_FETCHES
        for pod in pods:
            (named,) = [name for name, alias in world.table(pod).items() if alias]
            if named != f"legal@{status['version']}":
                assert all(named in {engine_name(v) for v in loaded[each]} for each in pods)
