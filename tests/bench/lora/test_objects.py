"""The objects that the benchmark of adapters runs on are such as the operator takes."""

from bench.lora import objects
from slmfleet.core.accept import Accepted, accept
from slmfleet.core.adapters.room import Room


def test_the_replicas_have_the_room_that_the_fleet_asks_for() -> None:
    lora = objects.FLEET["spec"]["engine"]["lora"]
    room = Room.of(objects.pod(1, "127.0.0.1"))
    assert (room.together, room.slots) == (lora["maxAdapters"], lora["maxCpuAdapters"])


def test_the_fleet_is_accepted() -> None:
    found = accept(objects.FLEET, None)
    assert isinstance(found, Accepted), found
    assert found.objections == ()
