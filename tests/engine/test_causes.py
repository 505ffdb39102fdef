"""What counts as the cause of a failed start, and what is said of it."""

import re
from typing import Any

import pytest

from slmfleet.api import crds
from slmfleet.engine.causes.exits import explain_exit
from slmfleet.engine.causes.find import MAX_MESSAGE, RANKED, find_cause

from . import test_causes_in_lines as in_lines
from . import test_causes_in_logs as in_logs


def test_every_row_finds_a_cause_in_a_log_or_a_line() -> None:
    texts = [(in_logs.LOGS / f"{row[0]}.log").read_text() for row in in_logs.ROWS]
    texts += [row[0] for row in in_lines.ROWS]
    winners = {next(pattern for pattern, _ in RANKED if pattern.search(text)) for text in texts}
    assert [pattern.pattern for pattern, _ in RANKED if pattern not in winners] == []


def test_a_hint_names_fields_that_exist() -> None:
    schemas = [crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds.manifests()]
    named = {path for _, hint in RANKED for path in re.findall(r"\bspec(?:\.\w+)+", hint)}
    assert [path for path in sorted(named) if not any(_has(schema, path.split(".")) for schema in schemas)] == []


def _has(schema: dict[str, Any], path: list[str]) -> bool:
    """Whether a schema has a field; what is below a map of free keys, such as a container's limits, is one."""
    if not path:
        return True
    if below := schema.get("properties", {}).get(path[0]):
        return _has(below, path[1:])
    return "additionalProperties" in schema


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("", None),
        ("INFO 11-20 10:00:00 [core.py:1] all is well\n", None),
        (
            "(EngineCore pid=7) ERROR 11-20 [core.py:1] KeyError: 'layers.0.bias'\n"
            "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"
            "/usr/lib/python3.11/resource_tracker.py:254: UserWarning: There appear to be 1 leaked semaphore objects\n",
            "KeyError: 'layers.0.bias'",
        ),
        ("WARNING This can cause fd limit errors like `OSError: [Errno 24] Too many open files`.\n", None),
        (
            "pydantic_core.ValidationError: 1 validation error for X\n  Value error, tokens [type=value_error]\n",
            "tokens",
        ),
        (
            "/usr/bin/python3: Error while finding module specification for 'vllm.entrypoints.openai.api_server' "
            "(ModuleNotFoundError: No module named 'vllm')\n",
            "ModuleNotFoundError: No module named 'vllm'",
        ),
        (
            "(APIServer pid=1) pydantic_core._pydantic_core.ValidationError: 1 validation error for CacheConfig\n"
            "(APIServer pid=1) block_size\n"
            "(APIServer pid=1)   Input should be a valid integer [type=int_type, input_value='x', input_type=str]\n",
            "block_size: Input should be a valid integer",
        ),
        ("RuntimeError: bad token hf_abcdefghijklmnop\n", "RuntimeError: bad token [redacted]"),
    ],
)
def test_the_first_error_that_says_more_than_see_above_is_the_cause(log: str, message: str | None) -> None:
    cause = find_cause(log)
    assert (cause.message if cause else None) == message


def test_a_cause_is_one_line_of_bounded_length() -> None:
    cause = find_cause("ValueError: " + "x" * 5000)
    assert cause is not None
    assert len(cause.message) == MAX_MESSAGE


def test_an_exit_code_without_a_log_is_still_explained() -> None:
    assert explain_exit(137, "OOMKilled").startswith("was killed because it used more memory")
    assert explain_exit(99, "Error") == "stopped"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (0, "ended by itself"),
        (1, "stopped with an error"),
        (2, "refused its arguments"),
        (130, "was told to stop while it started"),
        (132, "used an instruction that this CPU lacks"),
        (134, "aborted in compiled code"),
        (135, "ran out of shared memory"),
        (137, "was killed (SIGKILL: "),
        (139, "crashed in compiled code"),
        (143, "was told to stop while it started"),
    ],
)
def test_an_exit_code_means_the_same_in_every_release(code: int, meaning: str) -> None:
    assert explain_exit(code, "Error").startswith(meaning)
