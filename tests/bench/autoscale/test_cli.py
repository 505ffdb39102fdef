"""The command line, end to end on small traces."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from bench.autoscale import __main__ as cli

FIELDS = {
    "policy", "tuned", "trace", "start_time_s", "router", "gpu_hours", "ttft_attainment", "itl_attainment",
    "ttft_p50_s", "ttft_p99_s", "itl_p50_s", "itl_p99_s", "reversals", "recovery_s", "usd_per_million_tokens", "regret",
}  # fmt: skip


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    seconds = np.sort(rng.uniform(0, 900, 1200))
    begin = datetime.fromisoformat("2024-01-01T00:00:00")
    lines = [f"{begin + timedelta(seconds=float(s))},{rng.integers(50, 900)},{rng.integers(5, 200)}" for s in seconds]
    path = tmp_path / "made.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(lines))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["bench.autoscale", *(str(argument) for argument in arguments)])
    return cli.main()


@pytest.mark.parametrize("router", ["early", "late"])
def test_a_trace_file_becomes_a_table_and_rows(
    trace: Path, router: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = trace.with_suffix(".json")
    names = ["slmfleet", "static", "oracle", "hpa-kv"]
    options = ["--gpu", "l4", "--scale", 10, "--start-time", 30, "--router", router, "--json", out]
    assert run(monkeypatch, "--trace", trace, "--format", "azure", *options, "--policy", *names) == 0
    rows = {row["policy"]: row for row in json.loads(out.read_text()) if not row["tuned"]}
    assert set(rows) >= {"slmfleet", "oracle-lb0", "oracle-lb1", "oracle-ub", "hpa-kv"}
    (static,) = (row for name, row in rows.items() if name.startswith("static-"))
    assert all(row.keys() >= FIELDS for row in rows.values())
    assert static["ttft_attainment"] >= 0.99
    assert (static["regret"], rows["oracle-lb1"]["regret"]) == (1.0, 0.0)
    assert rows["oracle-lb1"]["gpu_hours"] <= rows["oracle-ub"]["gpu_hours"] <= static["gpu_hours"]
    assert rows["slmfleet"]["trace"] == "made"
    assert rows["slmfleet"]["start_time_s"] == 30
    assert "slmfleet" in capsys.readouterr().out


def test_the_same_command_gives_the_same_rows(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = trace.with_suffix(".1"), trace.with_suffix(".2")
    for out in (first, second):
        arguments = ["--trace", trace, "--format", "azure", "--policy", "kpa", "slmfleet", "--json", out]
        assert run(monkeypatch, *arguments) == 0
    assert first.read_text() == second.read_text()


def test_several_replicas_are_needed_without_a_scale(
    trace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--trace", trace, "--format", "azure", "--policy", "static") == 0
    assert int(capsys.readouterr().err.split("static peak ")[1].split()[0]) >= 6


def test_what_cannot_be_read_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--trace", tmp_path / "none.csv", "--format", "azure") == 2
    (tmp_path / "bad.csv").write_text("x\n")
    assert run(monkeypatch, "--trace", tmp_path / "bad.csv", "--format", "azure") == 2
    assert "is it an Azure trace" in capsys.readouterr().err


def test_it_runs_from_a_checkout_as_it_is() -> None:
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "bench.autoscale", "--help"]
    root = Path(cli.__file__).parents[2]
    shown = subprocess.run(command, env=bare, cwd=root, capture_output=True, text=True, check=True)
    assert all(option in shown.stdout for option in ("--trace", "--start-hour", "--router", "--policy", "--json"))
