"""Where an adapter's files come from, and what becomes of the Jobs that fetch them."""

from datetime import timedelta

import pytest

from slmfleet.core.times import stamp
from slmfleet.core.types import JobProgress, Manifest
from slmfleet.fetcher.report import EVERY_SECONDS, Report
from tests.core.make import NOW

from .make import World, adapter, digest, engine, engine_name, job_of, ready, report

V1 = engine_name("v1")


def ten_minutes_pass(world: World) -> Manifest:
    """Since the only Job ended."""
    (job,) = world.jobs.values()
    job["status"]["conditions"][0]["lastTransitionTime"] = "2026-01-02T02:54:05Z"
    return job


def test_an_adapter_in_the_image_is_read_by_a_ready_engine() -> None:
    world = World(adapter(source={"uri": "image:///opt/adapters/legal"}), pods=[engine(ready=False)])
    world.step()
    assert list(world.plan.inspections) == []
    world.pods = (engine(),)
    world.step()
    (asked,) = world.plan.inspections
    assert (asked.address, asked.path) == ("10.0.0.1", "/opt/adapters/legal")
    world.inspected[asked.key] = {"digest": digest("v1"), "base": "Qwen/Qwen3-8B", "rank": 8}
    world.step()
    assert world.condition("Fetched") == ("True", "InPlace")
    assert world.plan.tables[0].table == {"adapters": {V1: {"path": "/opt/adapters/legal", "alias": "legal"}}}
    assert not world.jobs


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("pvc://adapters/adapters/legal", "/adapters/legal"), ("pvc://adapters/legal", None), ("pvc://other/x", None)],
)
def test_a_claim_is_read_where_the_engines_see_it(uri: str, expected: str | None) -> None:
    world = World(adapter(source={"uri": uri}))
    world.step()
    assert [asked.path for asked in world.plan.inspections] == ([expected] if expected else [])
    assert expected or world.condition("Accepted") == ("False", "NoVolume")


def test_what_a_guard_could_not_read_is_told_and_looked_at_again() -> None:
    world = World(adapter(source={"uri": "image:///opt/adapters/legal"}))
    key = world.step().inspections[0].key
    world.inspected[key] = {"reason": "PickleRefused", "error": "x.bin is a pickle"}
    world.step()
    assert world.condition("Fetched") == ("False", "PickleRefused")
    assert world.message("Fetched") == "x.bin is a pickle"
    assert [asked.key for asked in world.plan.inspections] == [key]
    assert world.plan.requeue_after == 60


def test_other_files_than_those_of_the_digest_are_refused() -> None:
    world = World(adapter())
    world.fetched("v2")
    assert world.condition("Fetched") == ("False", "DigestMismatch")
    assert world.table() == {}


def test_a_fetch_that_failed_is_told_and_tried_again_later() -> None:
    world = World(adapter())
    world.step()
    world.ended("Failed", {"error": "TooLarge", "message": "5 GB"})
    assert world.condition("Fetched") == ("False", "TooLarge")
    assert world.plan.requeue_after == 600
    job = ten_minutes_pass(world)
    world.step()
    assert [ref.kind for ref in world.plan.delete] == ["Job"]
    assert world.condition("Fetched") == ("False", "TooLarge")
    world.step()
    assert job_of(world.plan)["metadata"]["name"] == job["metadata"]["name"]


@pytest.mark.parametrize(
    ("words", "text"), [("", "see its pod's log"), ("OOM", "OOM"), ({"digest": "sha256:0"}, "deadline")]
)
def test_a_fetch_that_ended_without_a_word_is_a_failure(words: object, text: str) -> None:
    world = World(adapter())
    world.step()
    world.ended("Failed", words)
    assert world.condition("Fetched") == ("False", "FetchFailed")
    assert text in world.message("Fetched")


def test_a_job_of_somebody_else_is_left_alone() -> None:
    world = World(adapter())
    job = job_of(world.step())
    for known in world.jobs.values():
        known["metadata"]["ownerReferences"] = []
    world.step()
    assert world.condition("Fetched") == ("False", "NameConflict")
    assert job not in world.plan.apply
    assert world.plan.delete == ()


def test_the_job_of_an_earlier_source_goes_and_what_it_told_stays() -> None:
    world = ready(source={"uri": "s3://adapters/legal"})
    before = {ref.name for ref in world.jobs}
    world.adapters["legal"] = adapter(source={"uri": "s3://adapters/other"}, status=world.outcome().status)
    world.step()
    assert {ref.name for ref in world.plan.delete} == before
    assert world.table() == {V1: "legal"}


def test_files_that_no_engine_finds_any_more_are_fetched_again() -> None:
    world = World(adapter(source={"uri": "s3://adapters/legal"}))
    world.fetched("v1")
    world.reported(report(["v1"], "v1"), "support-1")
    world.reported(report(v1="NotFound"), "support-2")
    assert world.condition("Fetched") == ("True", "Fetched")
    assert world.plan.requeue_after == 600
    ten_minutes_pass(world)
    world.step()
    assert [ref.kind for ref in world.plan.delete] == ["Job"]
    assert world.condition("Fetched") == ("False", "Fetching")
    assert world.message("Fetched") == "pod support-2 does not find the files: they are fetched again"
    assert world.table() == {V1: "legal"}
    world.step()
    assert world.condition("Fetched") == ("False", "Fetching")
    world.fetched("v2")
    assert world.condition("Fetched") == ("True", "Fetched")
    assert world.table() == {V1: "legal", engine_name("v2"): None}


def test_other_failures_of_a_load_fetch_nothing_again() -> None:
    world = World(adapter())
    world.fetched("v1")
    ten_minutes_pass(world)
    world.reported(report(v1="ShapeMismatch"))
    assert list(world.plan.delete) == []
    assert world.condition("Fetched") == ("True", "Fetched")


def running(world: World, seconds: int) -> None:
    """All Jobs have run for so long."""
    for job in world.jobs.values():
        job["status"] = {"startTime": stamp(NOW - timedelta(seconds=seconds))}


def asked(world: World) -> list[str]:
    return [inquiry.key for inquiry in world.plan.inquiries if isinstance(inquiry, JobProgress)]


def test_a_running_fetch_is_asked_how_far_it_is_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(adapter())
    world.step()
    (job,) = world.jobs.values()
    keys = []
    for seconds in (9, 10, 19, 20):
        running(world, seconds)
        world.step()
        keys.append(asked(world))
        assert world.plan.requeue_after == 10
    assert keys == [
        [],
        [key := f"{job['metadata']['uid']}/progress/1"],
        [key],
        [f"{job['metadata']['uid']}/progress/2"],
    ]

    times = iter((0.0, EVERY_SECONDS, EVERY_SECONDS))
    Report(None, (), lambda: next(times)).arrived(120 * 2**20 + 5, 300 * 2**20)
    world.words[keys[-1][0]] = capsys.readouterr().out.strip()
    world.step()
    text = f"Job {job['metadata']['name']} fetches s3://adapters/legal: fetched 120 of 300 MiB"
    assert world.message("Fetched") == text
    assert world.condition("Fetched") == ("False", "Fetching")
    assert world.outcome().events == ()


def test_why_a_fetch_does_not_run_is_told() -> None:
    world = World(adapter())
    world.step()
    running(world, 10)
    world.step()
    world.words[asked(world)[0]] = "ErrImagePull: not found"
    world.step()
    assert world.message("Fetched").endswith(" fetches s3://adapters/legal: ErrImagePull: not found")


def test_of_many_running_fetches_the_oldest_are_asked() -> None:
    adapters = [adapter(f"a{n}", servedName=f"a{n}", source={"uri": f"s3://adapters/a{n}"}) for n in range(9)]
    world = World(*adapters)
    world.step()
    running(world, 10)
    world.step()
    assert [key.rpartition("-")[0].partition("-")[0] for key in asked(world)] == [f"a{n}" for n in range(8)]
