"""The cause of a failed start, found in real logs of vLLM 0.32 (CPU build; paths shortened, the last 150 lines)."""

from pathlib import Path

import pytest

from slmfleet.engine.causes import MAX_MESSAGE, explain_exit, find_cause

LOGS = Path(__file__).parent / "logs"


@pytest.mark.parametrize(
    ("log", "begins", "hint"),
    [
        (
            "max-model-len",
            "User-specified max_model_len (4096) is greater than the derived max_model_len (max_position_embeddings=2048",
            "lower spec.engine.maxModelLen",
        ),
        (
            "kv-cache",
            "To serve at least one request with the model's max seq len (2097152), (1.0 GiB KV cache is needed, which is larger",
            "lower spec.engine.maxModelLen, raise the memory",
        ),
        (
            "cpu-memory",
            "Available memory on node 0 (14.2/19.84 GiB) on kv cache allocation is less than requested memory for kv (100.0 GiB)",
            "raise spec.pod.resources memory",
        ),
        ("unknown-flag", "error: unrecognized arguments: --swap-space", "this vLLM release has no such flag"),
        ("bad-choice", "error: argument --dtype: invalid choice: 'half8' (choose from 'auto', ", "correct the value"),
        ("ambiguous", "error: ambiguous option: --device could match --device-ids, ", "write the flag out"),
        ("quantization", "Unknown quantization method: gguf. Must be one of ['awq', ", "choose a quantization"),
        ("load-format", "Load format `s3` is not supported", "correct --load-format"),
        ("tensor", "Total number of attention heads (4) must be divisible by tensor parallel size (3)", "set spec.par"),
        (
            "no-such-path",
            "Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/none'",
            "there is no",
        ),
        (
            "hub",
            "Cannot find an appropriate cached snapshot folder for the specified revision on the local disk",
            "the pod",
        ),
    ],
)
def test_the_cause_is_found_in_a_real_log(log: str, begins: str, hint: str) -> None:
    cause = find_cause((LOGS / f"{log}.log").read_text())
    assert cause is not None
    assert cause.message.startswith(begins)
    assert cause.hint.startswith(hint)


def test_every_log_has_its_row() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == {row[0] for row in _rows()}


def _rows() -> list[tuple[str, str, str]]:
    (mark,) = test_the_cause_is_found_in_a_real_log.pytestmark  # type: ignore[attr-defined]
    return list(mark.args[1])


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
    assert explain_exit(0, "Completed").startswith("ended by itself")
    assert explain_exit(137, "OOMKilled").startswith("was killed because it used more memory")
    assert explain_exit(99, "Error") == "stopped"
