"""The guard inside each server, loaded as in a pod, while it drains."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.settings import REPOSITORY
from e2e.contract import servers
from e2e.contract.guarded import TOKEN, Guarded
from e2e.contract.servers import ANSWER_SECONDS
from e2e.harness.waiting import eventually

ROUTES = json.loads((REPOSITORY / "tests" / "guard" / "routes.json").read_text())
LONG = {"model": "tiny", "prompt": [1], "max_tokens": 1500, "ignore_eos": True}
SHORT = {"model": "tiny", "prompt": "hello", "max_tokens": 2}

# The routes of a server with everything switched on that adds some.
ROUTES_SCRIPT = """
import os, typing
os.environ |= {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
import vllm.tasks
from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
literals = [v for v in vars(vllm.tasks).values() if typing.get_origin(v) is typing.Literal]
tasks = tuple({task for literal in literals for task in typing.get_args(literal)})
words = ["--model", "/x", "--enable-lora", "--enable-tokenizer-info-endpoint"]
app = build_app(make_arg_parser(FlexibleArgumentParser()).parse_args(words), tasks)
print(*sorted({route.path for route in app.routes}), sep="\\n")
"""


def test_closed_routes_open_with_the_token(guarded: Guarded) -> None:
    server = guarded.server
    assert server.post("/tokenize", SHORT).status == 403
    assert server.post("/tokenize", SHORT, headers={"X-Slmfleet-Token": TOKEN}).status == 200
    assert server.post("/v1/completions", SHORT).status == 200


def test_a_large_body_gets_its_answer_through(guarded: Guarded) -> None:
    answer = guarded.server.post("/v1/completions", SHORT | {"prompt": "x" * 2**23})
    assert (answer.status, answer.json["error"]["type"]) == (413, "RequestTooLargeError")


def test_a_drain_closes_connections_and_ends_when_nobody_is_left(guarded: Guarded) -> None:
    server, folder, state = guarded.server, guarded.folder, guarded.state
    with server.streaming("/v1/completions", LONG) as stream:
        argv = [sys.executable, "-I", str(folder / "drain.py"), str(state), "1", "1", "60"]
        with subprocess.Popen(argv) as hook:
            while not (state / "drain").exists():
                assert hook.poll() is None
            # The guard looks every 0.1 s.
            eventually(
                lambda: server.post("/v1/completions", SHORT).connection == "close",
                within=ANSWER_SECONDS,
                what="an answer says that the connection is closed",
            )
            assert stream.headers["Connection"] is None
            assert stream.read().decode().endswith("data: [DONE]\n\n")
            assert hook.wait(timeout=ANSWER_SECONDS) == 0
    (state / "drain").unlink()


@pytest.mark.vllm
def test_the_table_of_routes_has_all_of_the_real_one(tmp_path: Path) -> None:
    real = servers.vllm(tmp_path)
    argv = [str(real.python), "-c", ROUTES_SCRIPT]
    done = subprocess.run(
        argv, env=real.environment, capture_output=True, text=True, check=True, timeout=servers.START_SECONDS
    )
    paths = {line for line in done.stdout.splitlines() if line.startswith("/")}
    assert len(paths) > 40
    assert paths <= {row["path"] for row in ROUTES["routes"]}
