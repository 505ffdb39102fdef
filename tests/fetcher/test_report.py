"""What a fetch says, and what it never says."""

import json
from pathlib import Path

import pytest

from slmfleet.fetcher.report import MAX_RESULT, Report


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_result_is_one_object_in_its_file(tmp_path: Path) -> None:
    result = tmp_path / "result"
    report = Report(result, (), Clock())
    report.failed("NotFound", "there is nothing")
    assert json.loads(result.read_text()) == {"error": "NotFound", "message": "there is nothing"}
    report.succeeded({"digest": "sha256:0", "bytes": 1, "rank": 8})
    assert json.loads(result.read_text()) == {"digest": "sha256:0", "bytes": 1, "rank": 8}


@pytest.mark.parametrize("text", ["x", "\U0001f600", '"', "é"])
def test_an_error_fits_a_termination_message_whatever_it_is_made_of(tmp_path: Path, text: str) -> None:
    result = tmp_path / "result"
    Report(result, (), Clock()).failed("NotFound", text * 10_000)
    assert len(result.read_bytes()) <= MAX_RESULT
    assert json.loads(result.read_text())["error"] == "NotFound"


def test_secrets_signatures_and_other_lines_are_taken_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(tmp_path / "result", ("hf_token",), Clock())
    report.failed("Unreachable", "https://cdn/x?X-Amz-Signature=abc with hf_token\ndone: sha256:0")
    out = capsys.readouterr().out
    assert out == "Unreachable: https://cdn/x?*** with *** done: sha256:0\n"
    assert "hf_token" not in (tmp_path / "result").read_text()


def test_progress_is_told_every_five_seconds_and_kept_for_a_fetch_that_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    report = Report(tmp_path / "result", (), clock)
    for clock.now in (1.0, 4.9, 5.0, 9.9):
        report.arrived(int(clock.now * 10), 100)
    assert capsys.readouterr().out == "50 of 100 bytes\n"
    message = {"error": "Interrupted", "message": "the fetch was ended at 50 of 100 bytes"}
    assert json.loads((tmp_path / "result").read_text()) == message
