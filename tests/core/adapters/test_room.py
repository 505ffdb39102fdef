"""How much room for adapters engines get where the spec leaves it open, and that no adapter rolls them."""

from dataclasses import replace
from typing import Any

import pytest

from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.core.adapters.room import Room, smallest, with_room
from slmfleet.core.types import Manifest, Plan
from tests.core.make import decide, slm

from .make import FETCHING, World, adapter


def pod(*words: str) -> Manifest:
    """A pod whose engine has these arguments."""
    return {"spec": {"containers": [{"name": "engine", "args": list(words)}]}}


def filled(lora: dict[str, Any], *ranks: int | None, before: Manifest | None = None) -> tuple[Any, Any, Any]:
    """maxAdapters, maxCpuAdapters and maxRank for adapters of these ranks; None is one that is not known yet."""
    spec = SLMDeploymentSpec.model_validate(slm(engine={"version": "0.32.0", "lora": lora})["spec"])
    found = with_room(spec, [adapter(status={} if rank is None else {"rank": rank}) for rank in ranks], before)
    assert found.engine.lora is not None
    return found.engine.lora.max_adapters, found.engine.lora.max_cpu_adapters, found.engine.lora.max_rank


@pytest.mark.parametrize(
    ("lora", "ranks", "expected"),
    [
        ({}, [], (1, 2, 16)),
        ({}, [None], (1, 2, 16)),
        ({}, [8, 24, None], (3, 4, 32)),
        ({}, [64] * 9, (8, 10, 64)),
        ({}, [128] * 70, (8, 65, 64)),
        ({"maxAdapters": 4}, [8], (4, 5, 16)),
        ({"maxAdapters": 16}, [8] * 20, (16, 21, 16)),
        ({"maxCpuAdapters": 2}, [8] * 5, (2, 2, 16)),
        ({"maxRank": 8}, [32], (1, 2, 8)),
    ],
)
def test_what_is_left_out_follows_from_the_adapters(
    lora: dict[str, int], ranks: list[int | None], expected: tuple[int, int, int]
) -> None:
    assert filled(lora, *ranks) == expected


def test_what_was_rendered_from_the_same_spec_stays() -> None:
    before = pod("--max-loras", "2", "--max-cpu-loras", "3", "--max-lora-rank", "32")
    assert filled({}, 64, 64, 64, before=before) == (2, 3, 32)


@pytest.mark.parametrize(
    ("words", "room"),
    [
        ([], Room(1, 1, 16)),
        (["--max-loras", "4"], Room(4, 4, 16)),
        (["--max-loras", "4", "--max-cpu-loras", "9", "--max-lora-rank", "64"], Room(4, 9, 64)),
    ],
)
def test_a_pod_tells_its_room_in_its_arguments(words: list[str], room: Room) -> None:
    assert Room.of(pod(*words)) == room


def test_while_pods_differ_the_smallest_of_each_counts() -> None:
    large = pod("--max-loras", "4", "--max-cpu-loras", "9", "--max-lora-rank", "16")
    small = pod("--max-loras", "2", "--max-cpu-loras", "3", "--max-lora-rank", "64")
    assert smallest([large, small]) == Room(2, 3, 16)


def arguments(plan: Plan) -> list[str]:
    """What the engines are started with."""
    (made,) = [m for m in plan.apply if m["kind"] == "Deployment"]
    words: list[str] = made["spec"]["template"]["spec"]["containers"][0]["args"]
    return words


@pytest.mark.parametrize("on_upgrade", ["Keep", "Roll"])
def test_adapters_roll_nothing_and_get_their_room_with_the_next_change(on_upgrade: str) -> None:
    world = World(adapter(), slm=_open(on_upgrade))
    world.fetched(rank=32)
    kept = arguments(world.plan)
    assert kept[kept.index("--max-lora-rank") + 1] == "16"
    assert world.condition("Accepted") == ("False", "RankTooLarge")
    assert "left out, it follows from the adapters" in world.message("Accepted")

    world.plan = decide(replace(world.observed(), slm=_open(on_upgrade, maxModelLen=4096)), FETCHING)
    follows = arguments(world.plan)
    assert follows[follows.index("--max-lora-rank") + 1] == "32"
    assert world.condition("Accepted") == ("False", "RankTooLarge"), "the pods that there are have no room yet"


def _open(on_upgrade: str, **engine: Any) -> Manifest:
    engine = {"version": "0.32.0", "lora": {"claimName": "adapters"}, **engine}
    return slm(engine=engine, rollout={"onOperatorUpgrade": on_upgrade})
