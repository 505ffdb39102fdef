"""The comparison's cases, jobs, and what is kept between runs."""

from pathlib import Path

import pytest

from bench.autoscale import cases, matrix
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
    keys = [job.key() for job in jobs]
    assert len(set(keys)) == len(keys)
    assert sum(job.family == "kpa" for job in jobs) == 1 + len(BASELINES["kpa"].grid)
    assert [dict(job.params) for job in jobs if job.tuned] == [{"stable_window": 60.0, "target": 10.0}]


def test_ours_is_not_tuned() -> None:
    case = Case("train-conv", "slow", "early", "train")
    assert {job.family for job in matrix.jobs(case, {})} == set(BASELINES)


def test_rows_outlive_a_run_and_a_torn_line(tmp_path: Path) -> None:
    matrix.Store(tmp_path).add("k", [{"a": 1}])
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"key": "torn", "rows": [{"a"')
    assert matrix.Store(tmp_path).rows == {"k": [{"a": 1}]}
    matrix.Store(tmp_path).add("l", [])
    assert set(matrix.Store(tmp_path).rows) == {"k", "l"}
