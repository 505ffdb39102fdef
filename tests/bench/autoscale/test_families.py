"""Every family can be made at every point, ours with and without its parts."""

from typing import Any

import pytest

from bench.autoscale import ours
from bench.autoscale.families import BASELINES, GRID_POINTS, Family
from bench.autoscale.hardware import GPUS
from bench.autoscale.run import Setting
from tests.bench.autoscale.looks import look

SETTING = Setting(GPUS["L4"], 110, 180, quota=20)
POINTS = [(family, params) for family in BASELINES.values() for params in (family.defaults, *family.grid)]


@pytest.mark.parametrize(("family", "params"), POINTS, ids=lambda value: getattr(value, "name", str(value)))
def test_every_point_decides(family: Family, params: dict[str, Any]) -> None:
    policy = family.make(SETTING, **params)
    for now in range(20):
        policy.look(look(now, kv=[0.5, 0.6], waiting=[1, 0], in_flight=9, arrived=1, lengths=(100, 50)))
    assert 1 <= policy.desired(20, 2, 2) <= 20
    assert policy.lag in (1.0, 15.0)


def test_a_grid_is_no_larger_than_is_fair() -> None:
    assert max(len(family.grid) for family in BASELINES.values()) <= GRID_POINTS
    assert all(family.defaults not in family.grid for family in BASELINES.values())


@pytest.mark.parametrize("name", ["slmfleet", *ours.VARIANTS])
def test_ours_decides_with_and_without_its_parts(name: str) -> None:
    policy = ours.maker(name)(SETTING)
    for now in range(60):
        policy.look(look(now, kv=[0.5, 0.6], waiting=[1, 0], in_flight=9, arrived=1, lengths=(100, 50)))
    assert policy.name == name
    assert 1 <= policy.desired(60, 2, 2) <= 20


def test_a_dropped_consideration_does_not_count() -> None:
    full = [look(now, kv=[1.0] * 8, waiting=[0] * 8, lengths=(10, 10)) for now in range(60)]
    with_kv, without = ours.maker("slmfleet")(SETTING), ours.maker("slmfleet-minus-kv")(SETTING)
    for seen in full:
        with_kv.look(seen)
        without.look(seen)
    assert with_kv.desired(60, 8, 8) == 9
    assert without.desired(60, 8, 8) == 8
