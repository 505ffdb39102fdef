"""What the API server refuses to one adapter is told by that adapter, and is nobody else's trouble."""

from slmfleet.core.types import Ref, WriteFailure

from .make import World, adapter, job_of

QUOTA = 'jobs.batch "legal" is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1'
SERVICE = Ref("v1", "Service", "legal-adapter")


def fleet_condition(world: World, kind: str) -> tuple[str, str]:
    return next((c["status"], c["reason"]) for c in world.plan.status["conditions"] if c["type"] == kind)


def test_a_job_that_is_refused_is_told_in_the_api_servers_words_and_tried_again() -> None:
    world = World(adapter(), adapter("tax"))
    world.step()
    (mine,) = [job for job in world.jobs.values() if job["metadata"]["name"].startswith("legal")]
    ref = Ref.of(mine)
    del world.jobs[ref]
    world.failures = (WriteFailure(ref, QUOTA, "legal"),)
    world.step()
    assert world.condition("Fetched") == ("False", "ChildRefused")
    assert world.message("Fetched") == f"the API server refuses Job {ref.name}: {QUOTA}"
    assert world.outcome().status["phase"] == "Failed"
    assert [event.reason for event in world.outcome().events] == ["ChildRefused"]
    assert world.condition("Fetched", "tax") == ("False", "Fetching")
    assert fleet_condition(world, "Accepted") == ("True", "Accepted")
    assert world.plan.requeue_after == 60
    assert Ref.of(job_of(world.plan)) == ref


def test_a_service_that_is_refused_is_the_trouble_of_its_adapter() -> None:
    world = World(adapter(endpoint={"service": True}))
    world.failures = (WriteFailure(SERVICE, "exceeded quota: services", "legal"),)
    world.fetched()
    assert world.condition("Available") == ("False", "ChildRefused")
    assert world.message("Available") == "the API server refuses Service legal-adapter: exceeded quota: services"
    assert fleet_condition(world, "Accepted") == ("True", "Accepted")
    assert SERVICE in [Ref.of(manifest) for manifest in world.plan.apply]
    assert world.plan.requeue_after == 60


def test_a_service_of_somebody_else_is_left_alone_and_told() -> None:
    world = World(adapter(endpoint={"service": True}))
    metadata = {"name": "legal-adapter", "namespace": "chat", "uid": "theirs"}
    world.services[SERVICE] = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
    world.fetched()
    assert world.condition("Available") == ("False", "NameConflict")
    assert SERVICE not in [Ref.of(manifest) for manifest in world.plan.apply]
    assert world.plan.delete == ()
    assert world.plan.requeue_after == 60
