"""Trace files, their windows and scales, and what is sampled from rates."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from bench.autoscale import servegen, stresses, traces
from bench.autoscale.workload import MAX_REQUESTS, Workload, bounded, fitting, scaled, window

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:16:46.6805900,5,0
"""


def load(count: int = 1000, duration: float = 100.0) -> Workload:
    arrival = np.linspace(0, duration, count, endpoint=False)
    return Workload("w", arrival, np.full(count, 10), np.arange(1, count + 1), duration)


def test_an_azure_trace_is_read_in_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "conv.csv").write_text(AZURE)
    read = traces.azure(tmp_path / "conv.csv")
    assert read.name == "conv"
    assert read.arrival == pytest.approx([0, 4.314579, 60])
    assert read.prompt.tolist() == [374, 396, 5]
    assert read.output.tolist() == [44, 109, 1]
    assert read.duration == 61


def test_a_zone_and_gzip_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(AZURE.replace("0,3", "0+00:00,3").encode()))
    assert traces.azure(tmp_path / "a.csv.gz").arrival == pytest.approx([0, 4.314579, 60])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no column ContextTokens, GeneratedTokens, TIMESTAMP"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "no requests"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nnoon,1,2\n", "TIMESTAMP must be a date"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-01-01 00:00:00,x,2\n", "ContextTokens must be whole numbers"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-01-01 00:00:00,-3,2\n", "tokens are 0 to"),
    ],
)
def test_a_broken_azure_trace_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        traces.azure(tmp_path / "x.csv")


def test_mooncake_keeps_its_prefix_blocks(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 1000, "input_length": 700, "output_length": 5, "hash_ids": [1, 2]},
        {"timestamp": 0, "input_length": 500, "output_length": 6, "hash_ids": [7]},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    read = traces.mooncake(tmp_path / "m.jsonl")
    assert (read.arrival.tolist(), read.prompt.tolist()) == ([0, 1], [500, 700])
    assert read.blocks is not None
    assert read.first_block is not None
    assert (read.blocks.tolist(), read.first_block.tolist()) == ([7, 1, 2], [0, 1, 3])


def test_copies_share_no_prefix_with_their_originals() -> None:
    one = Workload(
        "m",
        np.array([0.0, 50]),
        np.array([600, 600]),
        np.array([1, 1]),
        100.0,
        blocks=np.array([0, 1, 0, 2]),
        first_block=np.array([0, 2, 4]),
    )
    three = scaled(one, 3.0, seed=1)
    assert three.blocks is not None
    assert three.first_block is not None
    sets = [tuple(three.blocks[a:b]) for a, b in zip(three.first_block, three.first_block[1:], strict=False)]
    assert sorted(sets) == [(0, 1), (0, 2), (3, 4), (3, 5), (6, 7), (6, 8)]


@pytest.mark.parametrize("scale", [0.25, 1.0, 2.5, 7.0])
def test_a_scale_multiplies_the_requests_and_keeps_their_times(scale: float) -> None:
    made = scaled(load(), scale, seed=3)
    assert len(made) == pytest.approx(1000 * scale, rel=0.1)
    assert (np.diff(made.arrival) >= 0).all()
    assert 0 <= made.arrival[0] <= made.arrival[-1] < 100
    assert (made.arrival.tolist() == scaled(load(), scale, seed=3).arrival.tolist()) is True


def test_a_window_counts_from_its_start() -> None:
    cut = window(load(), 20, 30)
    assert (len(cut), cut.arrival[0], cut.duration, cut.output[0]) == (300, 0, 30, 201)


def test_a_window_outside_the_trace_is_refused() -> None:
    with pytest.raises(ValueError, match="--start-hour"):
        window(load(), 1000, 30)


def test_more_than_the_bound_is_cut_in_time() -> None:
    cut = bounded(load(MAX_REQUESTS * 2))
    assert len(cut) == MAX_REQUESTS
    assert cut.duration == pytest.approx(50)


def test_what_no_engine_can_hold_is_left_out() -> None:
    assert len(fitting(load(), 510)) == 500


RATES = "client_id,window_start_s,rate_rps,cv,dist,arg1,arg2\n"


def rates(folder: Path, rows: list[str]) -> Path:
    (folder / "m_client_rates.csv").write_text(RATES + "\n".join(rows))
    pdf = {"input_tokens": {"10": 0.5, "20": 0.5}, "output_tokens": {"3": 1.0}}
    (folder / "m_length_pdf_rate_weighted.json").write_text(json.dumps(pdf))
    return folder / "m_client_rates.csv"


def test_sampled_arrivals_have_the_rate_and_the_lengths(tmp_path: Path) -> None:
    path = rates(tmp_path, [f"a,{600 * i},{4},1,Gamma,1,0.25" for i in range(6)])
    drawn = servegen.sampled(path, scale=2.0, start=0, seconds=None, seed=1)
    assert len(drawn) == pytest.approx(8 * 3600, rel=0.03)
    assert set(drawn.prompt.tolist()) == {10, 20}
    assert set(drawn.output.tolist()) == {3}
    assert drawn.sampled


@pytest.mark.parametrize("dist", ["Gamma", "Weibull"])
@pytest.mark.parametrize("cv", [0.5, 2.5])
def test_sampled_arrivals_are_as_irregular_as_the_client(tmp_path: Path, dist: str, cv: float) -> None:
    path = rates(tmp_path, [f"a,{600 * i},{10},{cv},{dist},9,9" for i in range(12)])
    gaps = np.diff(servegen.sampled(path, scale=1.0, start=0, seconds=None, seed=2).arrival)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.1)


def test_rates_do_not_jump_between_windows(tmp_path: Path) -> None:
    path = rates(tmp_path, ["a,0,10,0.2,Gamma,1,1", "a,600,50,0.2,Gamma,1,1"])
    counts = servegen.sampled(path, scale=1.0, start=0, seconds=None, seed=2).rate(100)
    assert counts[5] == pytest.approx(26.7, rel=0.1)
    assert np.abs(np.diff(counts)).max() < 9


def test_a_gap_in_the_source_is_bridged_and_an_absent_client_is_silent(tmp_path: Path) -> None:
    path = rates(tmp_path, [f"a,{t},20,0.2,Gamma,1,1" for t in (0, 1200, 1800)] + ["b,1800,20,0.2,Gamma,1,1"])
    counts = servegen.sampled(path, scale=1.0, start=0, seconds=None, seed=2).rate(600)
    assert counts[1] == pytest.approx(20, rel=0.1)
    assert counts[3] > 30


def test_the_lengths_must_lie_beside_the_rates(tmp_path: Path) -> None:
    path = rates(tmp_path, ["a,0,1,1,Gamma,1,1"])
    (tmp_path / "m_length_pdf_rate_weighted.json").unlink()
    with pytest.raises(ValueError, match=r"m_length_pdf_rate_weighted\.json must lie beside it"):
        servegen.sampled(path, scale=1.0, start=0, seconds=None, seed=1)
    with pytest.raises(ValueError, match=r"a file named \*_client_rates.csv"):
        servegen.lengths_file(tmp_path / "other.csv")


@pytest.mark.parametrize("name", ["azure2023_conv.csv", "azure2023_code.csv"])
def test_the_traces_in_the_repository_are_those_that_are_published(name: str) -> None:
    read = traces.azure(Path("bench/autoscale/data") / f"{name}.gz")
    expected = {"azure2023_conv.csv": (19366, 1154.7, 211.1), "azure2023_code.csv": (8819, 2047.8, 27.9)}[name]
    assert (len(read), round(read.prompt.mean(), 1), round(read.output.mean(), 1)) == expected


def test_a_step_is_five_times_the_rate() -> None:
    made = stresses.step(load(), 4.0, seed=1)
    counts = made.rate(300)
    assert counts[:4].mean() == pytest.approx(4, rel=0.1)
    assert counts[4:9].mean() == pytest.approx(20, rel=0.1)
    assert made.steps == (1200,)


def test_a_length_shift_changes_lengths_and_not_the_rate() -> None:
    made = stresses.length_shift(load(), 5.0, seed=1, outputs=3.0)
    inside = (made.arrival >= 1200) & (made.arrival < 3000)
    assert made.output[inside].mean() / made.output[~inside].mean() == pytest.approx(3, rel=0.1)
    assert made.prompt.max() == 10
    assert made.rate(500).std() < 0.3


def test_bursts_are_where_the_workload_says() -> None:
    made = stresses.burst(load(), 2.0, seed=1)
    counts = made.rate(10)
    for at in made.steps:
        assert counts[int(at / 10) + 1] > 8
