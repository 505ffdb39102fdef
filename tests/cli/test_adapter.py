"""slmfleet adapter: what a folder is before anybody fetches it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slmfleet.cli.main import main
from slmfleet.guard.adapter_files import digest
from tests.guard.adapters import adapter


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["adapter", *args])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return adapter(tmp_path / "legal")


def test_the_digest_is_that_of_the_folder_as_engines_will_have_it(folder: Path) -> None:
    result = run("digest", str(folder))
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{digest(folder)}\n", "")


def test_the_digest_leaves_out_what_a_fetch_does_and_says_so(folder: Path) -> None:
    before = digest(folder)
    (folder / "training_args.bin").write_bytes(b"x")
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "optimizer.pt").write_bytes(b"x")
    result = run("digest", str(folder))
    assert (result.exit_code, result.stdout) == (0, f"{before}\n")
    assert result.stderr == "left out: checkpoint-5/optimizer.pt\nleft out: training_args.bin\n"


def test_a_folder_of_links_is_read_through_them_as_the_hubs_cache_is(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in folder.iterdir():
        (snapshot / path.name).symlink_to(path)
    assert run("digest", str(snapshot)).stdout == f"{digest(folder)}\n"


def test_inspect_prints_facts_and_digest(folder: Path) -> None:
    result = run("inspect", str(folder), "-o", "json")
    facts = json.loads(result.stdout)
    assert (facts["rank"], facts["base"], facts["digest"]) == (2, "Qwen/Qwen3-8B", digest(folder))


@pytest.mark.parametrize("command", ["digest", "inspect"])
def test_what_would_be_refused_is_refused_in_the_same_words(folder: Path, command: str) -> None:
    (folder / "adapter_model.bin").write_bytes(b"x")
    result = run(command, str(folder))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: PickleRefused: adapter_model.bin in {folder} is a pickle")


def test_a_folder_that_is_no_adapter_says_what_is_missing(tmp_path: Path) -> None:
    result = run("inspect", str(tmp_path))
    assert result.exit_code == 1
    assert "there is no adapter_config.json in" in result.stderr
