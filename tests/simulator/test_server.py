import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import uvicorn
from aiohttp import ClientSession
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slmfleet.simulator import texts
from slmfleet.simulator.adapters import Adapters
from slmfleet.simulator.engine import Engine
from slmfleet.simulator.faults import Faults
from slmfleet.simulator.server import Server, application

from .building import config, engine

PROMPT = {"model": "tiny", "prompt": "hello", "max_tokens": 3}


class HTTP(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def until(predicate: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not predicate():  # noqa: ASYNC110 - uvicorn and the engine have no events for it
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(
    *argv: str,
    keys: tuple[str, ...] = (),
    faults: Faults | None = None,
    made: Engine | None = None,
    middlewares: tuple[str, ...] = (),
) -> AsyncIterator[ClientSession]:
    made = made or engine(faults or Faults(slow_factor=0.0))
    environment = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if "--enable-lora" in argv else {}
    made_config = config("--served-model-name", "tiny", "alias", *argv, environment=environment)
    adapters = Adapters(made_config.served_names, made_config.lora, made.die)
    app = application(Server(made_config, made, "0.32.0", keys, 64, lambda: None, adapters), middlewares)
    http = HTTP(uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none"))
    tasks = [asyncio.create_task(made.run()), asyncio.create_task(http.serve())]
    try:
        await until(lambda: http.started)
        (port,) = [sock.getsockname()[1] for server in http.servers for sock in server.sockets]
        async with ClientSession(f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        tasks[0].cancel()
        http.should_exit = True
        await tasks[1]


async def post(client: ClientSession, path: str, body: object) -> tuple[int, Any]:
    async with client.post(path, json=body) as response:
        return response.status, await response.json()


async def test_the_answer_is_the_prompts_text() -> None:
    async with serving() as client:
        _, body = await post(client, "/v1/completions", PROMPT)
    assert body["choices"][0]["text"] == texts.answer("hello", 3)


async def test_a_stream_carries_the_same_text_as_the_whole_answer() -> None:
    async with serving() as client, client.post("/v1/completions", json=PROMPT | {"stream": True}) as response:
        lines = [line for line in (await response.text()).splitlines() if line]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == texts.answer("hello", 3)
    assert lines[-1] == "data: [DONE]"


async def test_an_unbounded_chat_answer_stops_by_itself() -> None:
    async with serving() as client:
        _, body = await post(client, "/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]})
    assert (body["choices"][0]["finish_reason"], body["usage"]["completion_tokens"]) == ("stop", 64)


async def test_more_than_one_choice_is_refused_clearly() -> None:
    async with serving() as client:
        status, body = await post(client, "/v1/completions", PROMPT | {"n": 2})
    assert (status, body["error"]["message"]) == (400, "the simulator answers with one choice: n must be 1")


@pytest.mark.parametrize(
    ("header", "status"), [(None, 401), ("Bearer wrong", 401), ("Basic secret", 401), ("Bearer secret", 200)]
)
async def test_the_key_guards_v1(header: str | None, status: int) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with serving(keys=("other", "secret")) as client, client.get("/v1/models", headers=headers) as response:
        assert response.status == status


@pytest.mark.parametrize("path", ["/health", "/metrics", "/version", "/ping", "/load"])
async def test_what_is_not_below_v1_needs_no_key(path: str) -> None:
    async with serving(keys=("secret",)) as client, client.get(path) as response:
        assert response.status == 200


async def test_a_full_queue_answers_503_and_counts_it() -> None:
    async with serving("--max-num-queued-reqs", "1", faults=Faults(stall=True)) as client:
        first = asyncio.create_task(post(client, "/v1/completions", PROMPT))
        waiting = 'vllm:num_requests_waiting{engine="0",model_name="tiny"} 1.0'
        while waiting not in await (await client.get("/metrics")).text():
            pass
        status, body = await post(client, "/v1/completions", PROMPT)
        page = await (await client.get("/metrics")).text()
        first.cancel()
    assert (status, body["error"]["type"]) == (503, "Service Unavailable")
    assert 'admission_rejections_total{model_name="tiny",reason="max_num_queued_reqs"} 1.0' in page


async def test_tokenize_counts_as_usage_does() -> None:
    async with serving() as client:
        _, counted = await post(client, "/tokenize", {"prompt": "hello world"})
        _, answered = await post(client, "/v1/completions", PROMPT | {"prompt": "hello world"})
    assert counted["count"] == answered["usage"]["prompt_tokens"] == 3


FAULTS = [
    # fault, path -> status
    ({"health": "unavailable"}, "/health", 503),
    ({"metrics": "error"}, "/metrics", 500),
    ({"metrics": "missing"}, "/metrics", 200),
    ({"health": "unavailable"}, "/metrics", 200),
]


@pytest.mark.parametrize(("fault", "path", "status"), FAULTS)
async def test_a_fault_set_at_run_time_breaks_its_route_alone(fault: dict[str, Any], path: str, status: int) -> None:
    async with serving() as client:
        assert (await post(client, "/sim/fault", fault))[0] == 200
        async with client.get(path) as response:
            assert response.status == status


async def test_missing_metrics_are_an_empty_page() -> None:
    async with serving(faults=Faults(metrics="missing")) as client, client.get("/metrics") as response:
        assert await response.read() == b""


async def test_a_hanging_health_check_never_answers() -> None:
    async with serving(faults=Faults(health="hang")) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.get("/health"), 0.05)


async def test_an_error_fault_answers_every_request_with_its_status() -> None:
    async with serving(faults=Faults(error_status=502)) as client:
        assert (await post(client, "/v1/completions", PROMPT))[0] == 502


async def test_an_unknown_fault_is_400_and_says_which_there_are() -> None:
    async with serving() as client:
        status, body = await post(client, "/sim/fault", {"nope": 1})
    assert status == 400
    assert "known are crash" in body["error"]


async def test_the_faults_can_be_read() -> None:
    async with serving(faults=Faults(slow_factor=2.0)) as client, client.get("/sim/fault") as response:
        assert (await response.json())["slow_factor"] == 2.0


async def test_a_dead_engine_is_unhealthy_and_fails_requests_with_vllms_words() -> None:
    made = engine()
    made.die()
    async with serving(made=made) as client:
        status, body = await post(client, "/v1/completions", PROMPT)
        async with client.get("/health") as response:
            assert response.status == 503
    assert status == 500
    assert body["error"]["message"].startswith("EngineCore encountered an issue.")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_aborts_its_request(stream: bool) -> None:
    made = engine(Faults(stall=True))
    async with serving(made=made) as client:
        call = asyncio.create_task(post(client, "/v1/completions", PROMPT | {"stream": stream}))
        await until(lambda: made.unfinished == 1)
        call.cancel()
        await until(lambda: made.unfinished == 0)


async def test_a_route_knows_its_method_alone() -> None:
    async with serving() as client:
        async with client.head("/health") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET")
        async with client.get("/nope") as response:
            assert (response.status, await response.json()) == (404, {"detail": "Not Found"})


# --middleware


class Marking:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-mark", b"class"))
            await send(message)

        await self._app(scope, receive, marked)


async def marking(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers.append("x-mark", "function")
    return response


NOT_CALLABLE = 3


@pytest.mark.parametrize(
    ("names", "marks"),
    [
        (("Marking",), ["class"]),
        (("marking",), ["function"]),
        (("Marking", "marking"), ["class", "function"]),
        (("marking", "Marking"), ["function", "class"]),
    ],
)
async def test_middleware_is_a_class_or_a_function_and_the_last_one_is_outermost(
    names: tuple[str, ...], marks: list[str]
) -> None:
    async with (
        serving(keys=("secret",), middlewares=tuple(f"{__name__}.{name}" for name in names)) as client,
        client.get("/v1/models") as response,
    ):
        assert (response.status, response.headers.getall("x-mark")) == (401, marks)


async def test_middleware_that_is_neither_is_refused_as_vllm_does() -> None:
    with pytest.raises(ValueError, match=r"Invalid middleware .*NOT_CALLABLE. Must be a function or a class."):
        async with serving(middlewares=(f"{__name__}.NOT_CALLABLE",)):
            pass
