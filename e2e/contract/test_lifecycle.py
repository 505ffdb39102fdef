"""Flags, refusals to start and the end: exit codes and the words that come with them."""

import contextlib
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.contract.guarded import Guarded
from e2e.contract.servers import ANSWER_SECONDS, Answer, Implementation, Running

LAST_LINES = {
    # few: one start of the real parser costs 15 s, tests/simulator holds the rest against lines captured from it
    # argv -> the last line on stderr; the module's parser takes one stray word as a positional, so the 4 is not named
    ("--swap-space", "4"): "api_server.py: error: unrecognized arguments: --swap-space",
    ("--device", "cpu"): (
        "api_server.py: error: ambiguous option: --device could match --device-ids, --device-memory-utilization"
    ),
}
TOO_LONG = ("--max-model-len", "4096")


@pytest.fixture(scope="module")
def ended(implementation: Implementation) -> dict[tuple[str, ...], subprocess.CompletedProcess[str]]:
    """What became of each argv, all run at the same time."""
    argvs = [*LAST_LINES, TOO_LONG]
    with ThreadPoolExecutor(len(argvs)) as pool:
        return dict(zip(argvs, pool.map(lambda argv: implementation.run(*argv), argvs), strict=True))


@pytest.mark.parametrize(("argv", "last_line"), LAST_LINES.items(), ids=["removed", "ambiguous"])
def test_a_flag_that_the_release_does_not_take_ends_with_2(
    ended: dict[tuple[str, ...], subprocess.CompletedProcess[str]], argv: tuple[str, ...], last_line: str
) -> None:
    done = ended[argv]
    assert (done.returncode, done.stderr.rstrip().splitlines()[-1]) == (2, last_line)


def test_a_context_longer_than_the_models_ends_with_1_and_says_so(
    ended: dict[tuple[str, ...], subprocess.CompletedProcess[str]],
) -> None:
    done = ended[TOO_LONG]
    assert done.returncode == 1
    assert (
        "User-specified max_model_len (4096) is greater than the derived max_model_len "
        "(max_position_embeddings=2048.0 or model_max_length=" in done.stdout + done.stderr
    )


def test_sigterm_with_a_timeout_finishes_what_runs_refuses_what_is_new_and_ends_with_0(guarded: Guarded) -> None:
    server = guarded.server  # which the next test that wants it starts again
    long = {"model": "tiny", "prompt": [1], "max_tokens": 2000, "ignore_eos": True}
    with server.streaming("/v1/completions", long) as running:
        server.process.send_signal(signal.SIGTERM)
        # A text, since the tokenizer's threads are gone; token ids reach the engine, whose answer is an aborted 200.
        refused = refusal(server, {"model": "tiny", "prompt": "new", "max_tokens": 1})
        health = server.get("/health").status
        finished = running.read().decode()
    code = server.process.wait(timeout=ANSWER_SECONDS)
    assert (refused.status, refused.json["error"]["message"]) == (500, "cannot schedule new futures after shutdown")
    assert (running.status, health, code) == (200, 200, 0)
    assert '"finish_reason":"length"' in finished
    assert finished.endswith("data: [DONE]\n\n")


def refusal(server: Running, body: dict[str, object]) -> Answer:
    """The first answer to a new request that is not 200.

    The signal takes a moment to be handled, and the real server may never answer a request that comes at that moment.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            answer = server.post("/v1/completions", body, seconds=2.0)
            if answer.status != 200:
                return answer
        time.sleep(0.05)
    raise AssertionError("new requests were not refused after SIGTERM")
