"""Flags, refusals to start and the end: exit codes and the words that come with them."""

import signal
import threading
import time

import pytest

from e2e.contract.servers import Answer, Implementation, Running

LAST_LINES = [
    # few: one start of the real parser costs 15 s, tests/simulator holds the rest against lines captured from it
    # argv -> the last line on stderr; the module's parser takes one stray word as a positional, so the 4 is not named
    (["--swap-space", "4"], "api_server.py: error: unrecognized arguments: --swap-space"),
    (
        ["--device", "cpu"],
        "api_server.py: error: ambiguous option: --device could match --device-ids, --device-memory-utilization",
    ),
]


@pytest.mark.parametrize(("argv", "last_line"), LAST_LINES, ids=["removed", "ambiguous"])
def test_a_flag_that_the_release_does_not_take_ends_with_2(
    implementation: Implementation, argv: list[str], last_line: str
) -> None:
    ended = implementation.run(*argv)
    assert (ended.returncode, ended.stderr.rstrip().splitlines()[-1]) == (2, last_line)


def test_a_context_longer_than_the_models_ends_with_1_and_says_so(implementation: Implementation) -> None:
    ended = implementation.run("--max-model-len", "4096")
    assert ended.returncode == 1
    assert (
        "User-specified max_model_len (4096) is greater than the derived max_model_len "
        "(max_position_embeddings=2048.0 or model_max_length=" in ended.stdout + ended.stderr
    )


def test_sigterm_with_a_timeout_finishes_what_runs_refuses_what_is_new_and_ends_with_0(own_server: Running) -> None:
    answers: list[Answer] = []
    long = {"model": "tiny", "prompt": [1], "max_tokens": 1200, "ignore_eos": True}
    request = threading.Thread(target=lambda: answers.append(own_server.post("/v1/completions", long)))
    request.start()
    time.sleep(1.0)
    own_server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    refused = own_server.post("/v1/completions", long | {"max_tokens": 1})
    health = own_server.get("/health")
    request.join()
    code = own_server.process.wait(timeout=60)
    assert [(answer.status, answer.json["usage"]["completion_tokens"]) for answer in answers] == [(200, 1200)]
    assert (refused.status, refused.json["error"]["message"]) == (500, "cannot schedule new futures after shutdown")
    assert (health.status, code) == (200, 0)
