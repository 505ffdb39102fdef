"""The HTTP surface: status codes, bodies and their keys."""

from typing import Any

import pytest

from e2e.contract.servers import MAX_MODEL_LEN, NAMES, Running

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
HI: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
PROMPT: dict[str, Any] = {"model": "tiny", "prompt": [5, 6, 7], "max_tokens": 3, "ignore_eos": True}


@pytest.mark.parametrize("path", ["/health", "/ping"])
def test_health_is_an_empty_200(server: Running, path: str) -> None:
    answer = server.get(path)
    assert (answer.status, answer.body) == (200, b"")


def test_version_is_the_release(server: Running) -> None:
    assert server.get("/version").json == {"version": "0.32.0"}


def test_load_is_0_without_tracking(server: Running) -> None:
    assert server.get("/load").json == {"server_load": 0}


def test_models_lists_every_served_name_with_the_directory_as_root(server: Running) -> None:
    body = server.get("/v1/models").json
    assert body["object"] == "list"
    seen = [(card["id"], card["object"], card["root"], card["parent"], card["max_model_len"]) for card in body["data"]]
    root = str(server.implementation.model)
    assert seen == [(name, "model", root, None, MAX_MODEL_LEN) for name in NAMES]


def test_a_model_card_has_the_same_keys(server: Running) -> None:
    card = server.get("/v1/models").json["data"][0]
    keys = {"id", "object", "created", "owned_by", "root", "parent", "max_model_len", "permission"}
    assert set(card) == keys
    assert card["permission"][0]["id"].startswith("modelperm-")


def test_chat_answers_with_usage_and_the_first_served_name(server: Running) -> None:
    answer = server.post(CHAT, HI | {"model": "tiny-alias", "ignore_eos": True})
    body = answer.json
    assert (answer.status, answer.kind) == (200, "application/json")
    assert (body["object"], body["model"], body["id"][:9]) == ("chat.completion", "tiny", "chatcmpl-")
    assert body["usage"]["completion_tokens"] == 3
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + 3
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["choices"][0]["message"]["role"] == "assistant"


def test_bodies_have_the_keys_of_the_real_server(server: Running) -> None:
    chat, text = server.post(CHAT, HI).json, server.post(COMPLETIONS, PROMPT).json
    common = {"id", "object", "created", "model", "choices", "service_tier", "system_fingerprint", "usage"}
    common |= {"kv_transfer_params", "ec_transfer_params", "metrics"}
    assert set(chat) == common | {"prompt_logprobs", "prompt_token_ids", "prompt_text"}
    assert set(text) == common
    choice = {"index", "logprobs", "finish_reason", "stop_reason", "token_ids", "routed_experts"}
    assert set(chat["choices"][0]) == choice | {"message"}
    assert set(text["choices"][0]) == choice | {"text", "prompt_logprobs", "prompt_token_ids"}


def test_token_ids_are_counted_as_they_are(server: Running) -> None:
    usage = server.post(COMPLETIONS, PROMPT).json["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 3, 6)


def test_a_completion_without_max_tokens_has_16(server: Running) -> None:
    body = {key: value for key, value in PROMPT.items() if key != "max_tokens"}
    assert server.post(COMPLETIONS, body).json["usage"]["completion_tokens"] == 16


def test_the_same_prompt_at_temperature_0_has_the_same_answer(server: Running) -> None:
    texts = {server.post(COMPLETIONS, PROMPT | {"temperature": 0}).json["choices"][0]["text"] for _ in range(2)}
    assert len(texts) == 1


def test_a_chat_stream_opens_with_the_role_and_ends_with_the_usage(server: Running) -> None:
    answer = server.post(CHAT, HI | {"stream": True, "ignore_eos": True, "stream_options": {"include_usage": True}})
    first, *pieces, last_piece, usage = answer.events
    assert answer.kind == "text/event-stream; charset=utf-8"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {piece["choices"][0]["finish_reason"] for piece in pieces} <= {None}
    assert last_piece["choices"][0]["finish_reason"] == "length"
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 3)


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize(("path", "body"), [(CHAT, HI), (COMPLETIONS, PROMPT)])
def test_the_keys_of_a_streams_chunks(server: Running, path: str, body: dict[str, Any], usage: bool) -> None:
    asked = body | {"stream": True, "ignore_eos": True, "stream_options": {"include_usage": usage}}
    events = [set(event) for event in server.post(path, asked).events]
    head = {"id", "object", "created", "model", "choices"}
    opening = [head | {"prompt_token_ids", "prompt_text"}] if path == CHAT else []
    closing = [head, head | {"usage", "system_fingerprint"}] if usage else [head | {"system_fingerprint"}]
    # The server joins the tokens that it had no time to send one by one: 3 tokens are 1 to 3 chunks.
    joined = [[*opening, *[head] * pieces, *closing] for pieces in range(3)]
    assert events in joined


@pytest.mark.parametrize(("path", "body"), [(CHAT, HI), (COMPLETIONS, PROMPT)])
def test_an_unknown_model_is_404_and_names_the_aliases(server: Running, path: str, body: dict[str, Any]) -> None:
    answer = server.post(path, body | {"model": "x"})
    message = "The model `x` does not exist. Valid aliases: tiny, tiny-alias."
    expected = {"message": message, "type": "NotFoundError", "param": "model", "code": 404}
    assert (answer.status, answer.json) == (404, {"error": expected})


REFUSED: list[tuple[str, object, str, str | None]] = [
    # path, body -> type, param of the 400
    (COMPLETIONS, PROMPT | {"prompt": [1] * (MAX_MODEL_LEN + 1)}, "BadRequestError", "input_tokens"),
    (COMPLETIONS, PROMPT | {"prompt": [1] * MAX_MODEL_LEN}, "BadRequestError", "max_tokens"),
    (COMPLETIONS, PROMPT | {"max_tokens": MAX_MODEL_LEN + 1}, "BadRequestError", "max_tokens"),
    (COMPLETIONS, PROMPT | {"max_tokens": 0}, "BadRequestError", "max_tokens"),
    (COMPLETIONS, {"model": "tiny"}, "BadRequestError", "prompt"),
    (CHAT, {"model": "tiny"}, "Bad Request", "body.messages"),
    (CHAT, {"model": "tiny", "messages": "x"}, "Bad Request", "body.messages"),
    (CHAT, {"model": "tiny", "messages": []}, "BadRequestError", None),
    (CHAT, HI | {"max_tokens": "x"}, "Bad Request", "body.max_tokens"),
    (CHAT, b"{bad", "Bad Request", "body.1"),
]


@pytest.mark.parametrize(("path", "body", "kind", "param"), REFUSED)
def test_a_bad_request_is_400_with_type_and_param(
    server: Running, path: str, body: object, kind: str, param: str | None
) -> None:
    answer = server.post(path, body)
    error = answer.json["error"]
    assert (answer.status, error["type"], error["param"], error["code"]) == (400, kind, param, 400)


MESSAGES: list[tuple[object, str]] = [
    (
        PROMPT | {"prompt": [1] * (MAX_MODEL_LEN + 1)},
        "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input tokens",
    ),
    (PROMPT | {"max_tokens": 5000}, "max_tokens=5000 cannot be greater than max_model_len=2048."),
    (b"{bad", "1 validation error:\n  {'type': 'json_invalid', 'loc': 'body.1', 'msg': 'JSON decode error'"),
]


@pytest.mark.parametrize(("body", "message"), MESSAGES)
def test_a_bad_request_says_why(server: Running, body: object, message: str) -> None:
    assert server.post(COMPLETIONS, body).json["error"]["message"].startswith(message)


def test_an_answer_is_shortened_to_what_fits(server: Running) -> None:
    usage = server.post(COMPLETIONS, PROMPT | {"prompt": [9] * 2040, "max_tokens": 100}).json["usage"]
    assert (usage["completion_tokens"], usage["total_tokens"]) == (8, MAX_MODEL_LEN)


def test_an_unknown_path_is_404(server: Running) -> None:
    answer = server.get("/v1/nope")
    assert (answer.status, answer.json) == (404, {"detail": "Not Found"})


def test_the_wrong_method_is_405(server: Running) -> None:
    answer = server.get(CHAT)
    assert (answer.status, answer.json) == (405, {"detail": "Method Not Allowed"})
