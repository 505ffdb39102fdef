"""Which point is best, and whether the comparison's targets hold, on rows made by hand."""

from typing import Any

import pytest

from bench.autoscale import targets, tuning
from bench.autoscale.families import BASELINES


def row(policy: str, hours: float, late: float = 0.0, **more: Any) -> dict[str, Any]:
    params = more.pop("params", BASELINES[policy].defaults if policy in BASELINES else {})
    return {
        "policy": policy,
        "params": params,
        "tuned": False,
        "workload": "conv",
        "start": "mid",
        "router": "early",
        "seed": 1,
        "fault": "",
        "gpu_hours": hours,
        "mean_replicas": hours,
        "static": 10,
        "ttft_attainment": 1 - late,
        "itl_attainment": 1.0,
        "met": late <= 0.01,
        "reversals": 0,
        "hours": 1.0,
    } | more


def test_the_best_point_trades_a_point_of_attainment_for_eight_percent() -> None:
    rows = [
        row("hpa-kv", 8.0, 0.02, params={"target": 0.9}),
        row("hpa-kv", 8.5, 0.0, params={"target": 0.7}),
        row("hpa-kv", 9.5, 0.0, params={"target": 0.5}),
    ]
    assert tuning.best_single(rows, "hpa-kv")[0] == {"target": 0.7}
    assert tuning.best_single([rows[0] | {"gpu_hours": 7.0, "mean_replicas": 7.0}, *rows[1:]], "hpa-kv")[0] == {
        "target": 0.9
    }


def test_a_point_that_did_not_run_everywhere_is_not_the_best() -> None:
    rows = [
        row("kpa", 9.0),
        row("kpa", 9.0, workload="code"),
        row("kpa", 1.0, params={"target": 10.0}),
    ]
    assert tuning.best_single(rows, "kpa")[0] == BASELINES["kpa"].defaults


def test_every_family_gets_its_best_point() -> None:
    rows = [row(name, hours, params={"n": hours}) for name in BASELINES for hours in (7.0, 5.0, 6.0)]
    assert tuning.best_points(rows) == {name: {"n": 5.0} for name in BASELINES}


def rows_of_everybody(hours: float, late: float = 0.0) -> list[dict[str, Any]]:
    return [row(name, hours, late) for name in BASELINES]


@pytest.mark.parametrize(
    ("mine", "theirs", "holds"),
    [
        # GPU-hours and share of late requests -> whether (a) holds
        ((8.0, 0.0), (9.0, 0.0), True),
        ((9.5, 0.0), (9.0, 0.0), False),
        ((8.0, 0.02), (9.0, 0.0), False),
        ((8.0, 0.0), (9.0, 0.05), True),
    ],
)
def test_cheaper_must_not_mean_later(mine: tuple[float, float], theirs: tuple[float, float], *, holds: bool) -> None:
    entries = targets.against_best_single([row("slmfleet", *mine), *rows_of_everybody(*theirs)])
    assert {entry["holds"] for entry in entries} == {holds}


def test_the_cheapest_point_that_is_as_good_is_told() -> None:
    rows = [
        row("slmfleet", 8.0, 0.02),
        *rows_of_everybody(5.0, 0.05),
        row("kpa", 10.0, 0.02, params={"target": 10.0}),
        row("kpa", 16.0, 0.0, params={"target": 15.0}),
    ]
    entries = {entry["family"]: entry for entry in targets.against_best_single(rows)}
    assert (entries["kpa"]["as_good_gpu_by_static"], entries["kpa"]["ours_by_as_good"]) == (1.0, 0.8)
    assert entries["keda"]["ours_by_as_good"] is None


@pytest.mark.parametrize(
    ("mine", "theirs", "held"),
    [
        ((9.0, 0.0), (10.0, 0.0), 1),  # 0.9 of the GPU-hours
        ((9.5, 0.0), (10.0, 0.0), 0),
        ((20.0, 0.0), (10.0, 0.02), 1),  # they fail
        ((5.0, 0.02), (10.0, 0.02), 0),
    ],
)
def test_defaults_are_beaten_by_price_or_where_they_fail(
    mine: tuple[float, float], theirs: tuple[float, float], held: int
) -> None:
    entries = targets.against_defaults([row("slmfleet", *mine), *rows_of_everybody(*theirs)])
    assert {entry["held"] for entry in entries} == {held}


def test_hindsight_takes_the_cheapest_point_that_keeps_the_goal() -> None:
    rows = [
        row("slmfleet", 8.8),
        row("kpa", 5.0, 0.5),
        row("hpa-kv", 8.0, params={"target": 0.6}),
        row("hpa-max", 9.0),
    ]
    (entry,) = targets.against_hindsight(rows, targets.of(rows, "slmfleet"))
    assert (entry["best"], entry["best_params"], entry["ratio"]) == ("hpa-kv", {"target": 0.6}, 1.1)
    assert targets.hindsight_verdict([entry])["holds"]
    assert not targets.hindsight_verdict([entry | {"ratio": 1.3}])["holds"]
    assert not targets.hindsight_verdict([entry | {"met": False}])["holds"]


def test_spikes_are_held_against_an_hpa_that_keeps_the_goal() -> None:
    spiky: dict[str, Any] = {"workload": "spikes"}
    assert not targets.on_spikes([row("slmfleet", 8.0, **spiky), row("hpa-kv", 7.0, **spiky)])[0]["holds"]
    assert targets.on_spikes([row("slmfleet", 8.0, **spiky), row("hpa-kv", 7.0, 0.02, **spiky)])[0]["holds"]
    assert targets.on_spikes([row("slmfleet", 8.0), row("hpa-kv", 7.0)]) == []


def test_a_faults_loss_is_against_the_same_run_without_it() -> None:
    rows = [row("slmfleet", 8.0), row("slmfleet", 8.0, 0.02, fault="quota"), row("oracle-ub", 7.0, 0.0, fault="quota")]
    lost = {entry["policy"]: entry["lost_points"] for entry in targets.under_faults(rows)}
    assert lost == {"slmfleet": 2.0, "oracle-ub": None}


def test_a_tuned_point_that_is_the_default_counts_once() -> None:
    rows = [row("kpa", 9.0), row("kpa", 9.0, tuned=True), row("kpa", 9.0, workload="code")]
    assert len(tuning.best_single(rows, "kpa")[1]) == 2
