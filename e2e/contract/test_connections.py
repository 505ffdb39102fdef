"""What keep-alive clients and drains rely on: how the server keeps and closes connections."""

import http.client
import json
import select
import time
from collections.abc import Iterator

import pytest

from e2e.contract.servers import ANSWER_SECONDS, Running

PROMPT = json.dumps({"model": "tiny", "prompt": [5, 6, 7], "max_tokens": 3, "ignore_eos": True})
KEEP_ALIVE_SECONDS = 5.0
"""VLLM_HTTP_TIMEOUT_KEEP_ALIVE's default."""


@pytest.fixture
def connection(server: Running) -> Iterator[http.client.HTTPConnection]:
    made = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS)
    yield made
    made.close()


def answered(connection: http.client.HTTPConnection, **headers: str) -> http.client.HTTPResponse:
    connection.request("POST", "/v1/completions", PROMPT, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    return answer


def closed(connection: http.client.HTTPConnection, within: float) -> bool:
    """Whether the server closes an idle connection in so many seconds."""
    return bool(select.select([connection.sock], [], [], within)[0])


def test_a_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    answered(connection)
    first = connection.sock
    answered(connection)
    assert connection.sock is first


def test_an_idle_connection_is_closed_after_five_seconds(connection: http.client.HTTPConnection) -> None:
    # The server counts from its answer on, which comes after this: a busy machine closes late, never early.
    began = time.monotonic()
    assert answered(connection).headers["Connection"] is None
    assert closed(connection, within=6 * KEEP_ALIVE_SECONDS)
    assert time.monotonic() - began > KEEP_ALIVE_SECONDS - 0.5


def test_a_client_that_asks_for_it_gets_its_connection_closed(connection: http.client.HTTPConnection) -> None:
    answer = answered(connection, Connection="close")
    assert answer.headers["Connection"] == "close"
    assert connection.sock is None


def test_get_is_not_head(connection: http.client.HTTPConnection) -> None:
    connection.request("HEAD", "/health")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")
