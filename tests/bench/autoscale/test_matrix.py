"""The comparison's cases, jobs, and what is kept between runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.autoscale import cases, keys, matrix
from bench.autoscale.cases import Case
from bench.autoscale.families import BASELINES
from bench.autoscale.workload import MAX_HOURS, MAX_REQUESTS


@pytest.mark.parametrize("name", cases.WORKLOADS)
def test_every_workload_is_bounded(name: str) -> None:
    made = cases.workload(name, 1)
    assert made.name == name
    assert 3000 < len(made) <= MAX_REQUESTS
    assert made.duration <= MAX_HOURS * 3600


def test_cases_are_unique_and_tuning_sees_none_that_is_scored() -> None:
    scored, training = list(cases.scored()), list(cases.training())
    assert len({case.name for case in scored}) == len(scored)
    assert not {case.workload for case in training} & {case.workload for case in scored}


def test_a_grid_case_runs_every_point_once() -> None:
    case = Case("conv", "slow", "early", "grid")
    jobs = list(matrix.jobs(case, {"kpa": {"stable_window": 60.0, "target": 10.0}}))
    names = [job.key() for job in jobs]
    assert len(set(names)) == len(names)
    assert sum(job.family == "kpa" for job in jobs) == 1 + len(BASELINES["kpa"].grid)
    assert [dict(job.params) for job in jobs if job.tuned] == [{"stable_window": 60.0, "target": 10.0}]


def test_ours_is_not_tuned() -> None:
    case = Case("train-conv", "slow", "early", "train")
    assert {job.family for job in matrix.jobs(case, {})} == set(BASELINES)


def test_what_everybody_is_compared_on_comes_before_the_points_of_grids() -> None:
    tuned = {"kpa": {"stable_window": 60.0, "target": 10.0}}
    ranks = {(job.family, job.params, job.rank) for job in matrix.jobs(Case("conv", "mid", "early", "grid"), tuned)}
    assert {rank for family, _, rank in ranks if family in ("slmfleet", matrix.ORACLES)} == {0}
    assert {rank for family, params, rank in ranks if family == "kpa" and dict(params) == tuned["kpa"]} == {0}
    assert {rank for family, params, rank in ranks if family == "kpa" and dict(params).get("target") == 35.0} == {2}


def test_a_key_knows_the_requests_and_the_setting() -> None:
    case = Case("flat", "mid", "early", "grid")
    others = [replace(case, start="slow"), replace(case, router="late"), replace(case, workload="step")]
    others += [replace(case, seed=2), replace(case, fault="quota")]
    assert len({keys.of_case(other) for other in [case, *others]}) == 6
    assert keys.of_case(case) == keys.of_case(replace(case, group="start"))


def test_rows_outlive_a_run_and_a_torn_line(tmp_path: Path) -> None:
    matrix.Store(tmp_path).add("k", [{"a": 1}])
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"key": "torn", "rows": [{"a"')
    assert matrix.Store(tmp_path).rows == {"k": [{"a": 1}]}
    matrix.Store(tmp_path).add("l", [])
    assert set(matrix.Store(tmp_path).rows) == {"k", "l"}
