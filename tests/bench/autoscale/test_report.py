"""What the tables of the comparison count, on rows made by hand."""

from bench.autoscale import ours, report, targets
from bench.autoscale.cases import SEEDS

from .test_targets import row


def cells(table: str, policy: str) -> list[list[str]]:
    """A policy's lines of a table in Markdown."""
    lines = [line.strip("|").split("|") for line in table.splitlines()]
    return [line for line in lines if policy in line]


def test_a_tuned_point_that_is_the_default_is_no_seed_more() -> None:
    runs = [row("wva-v1", 8.0 + seed, workload=SEEDS[0], seed=seed, params={}) for seed in (1, 2, 3)]
    both = runs + [run | {"tuned": True} for run in runs]
    table = report._seeds(both)
    assert cells(table, "wva-v1") == [[SEEDS[0], "early", "wva-v1", "3", "10.0 (9.0-11.0)", "100.00-100.00"]]


def test_a_tuned_point_that_is_the_default_is_told_apart_from_it() -> None:
    runs = [row("wva-v1", 8.0, workload=name, params={}) for name in ("conv", "code")]
    both = runs + [run | {"tuned": True} for run in runs]
    told = [(line[1], line[4]) for line in cells(report._families(both), "wva-v1")]
    assert told == [("defaults", "2"), ("tuned on training", "2")]


def test_parts_are_compared_on_the_cases_that_all_of_them_ran_on() -> None:
    everywhere = [row("slmfleet", 8.0, workload=name) for name in ("conv", "code", "flat")]
    parts = [row(name, 9.0, workload=case) for name in ours.VARIANTS for case in ("conv", "flat")]
    everywhere, parts = ([run | {"group": "grid"} for run in some] for some in (everywhere, parts))
    lines = cells(report._parts(everywhere + parts), "early")
    assert [line[1] for line in lines] == ["slmfleet", *ours.VARIANTS]
    assert {line[4] for line in lines} == {"2"}
    assert cells(report._parts(everywhere), "slmfleet") == []


def test_without_baselines_there_is_nothing_to_hold_against() -> None:
    assert targets.against_best_single([row("slmfleet", 8.0)]) == []
