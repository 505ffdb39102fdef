"""The OpenAI API as vLLM 0.32 speaks it: what a request asks for, and the bodies of answers and errors.

Pure: bodies in, bodies out. Ids and times are arguments.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import texts

COMPLETION_MAX_TOKENS: Final = 16
"""max_tokens of /v1/completions where the request has none."""

Body = dict[str, Any]


class ApiError(Exception):
    """An answer other than 200: the status and vLLM's error body."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError", param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Body = {"error": {"message": message, "type": kind, "param": param, "code": status}}


@dataclass(frozen=True)
class Generation:
    """One request, understood."""

    chat: bool
    model: str
    """The name it was asked for; answers carry the first served name."""
    prompt: str
    prompt_tokens: int
    output_tokens: int
    max_tokens_param: int | None
    finish_reason: str
    stream: bool
    include_usage: bool
    hashes: tuple[int, ...] = ()
    """Of the prompt's full KV-cache blocks, where prefixes are cached."""


@dataclass(frozen=True)
class Served:
    """What requests are checked against."""

    names: Sequence[str]
    max_model_len: int
    output_tokens: int
    """Length of an answer that its request does not bound."""
    cached_block: int = 0
    """Tokens of a block of the prefix cache; 0 without one."""
    adapters: Collection[str] = ()
    """Names of loaded LoRA adapters."""


def chat_request(body: Body, served: Served) -> Generation:
    """A body of POST /v1/chat/completions. Raises ApiError."""
    messages = required(body, "messages")
    if not isinstance(messages, list):
        raise _invalid("list_type", "messages", "Input should be a valid list", messages)
    limit = _integer(body, "max_completion_tokens")
    limit = _integer(body, "max_tokens") if limit is None else limit
    model = _model(body, served)
    if not messages:
        raise ApiError(400, "Cannot apply chat template to an empty conversation. Provide at least one message.")
    prompt = texts.chat_prompt([message for message in messages if isinstance(message, dict)])
    return _generation(body, served, (True, model, prompt, texts.count_tokens(prompt), prompt), limit)


def completion_request(body: Body, served: Served) -> Generation:
    """A body of POST /v1/completions with one prompt, as text or as token ids. Raises ApiError."""
    limit = _integer(body, "max_tokens")
    model = _model(body, served)
    prompt = body.get("prompt")
    if not prompt:
        raise ApiError(
            400, "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)", param="prompt"
        )
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, list) and all(isinstance(token, int) for token in prompt):
        text, count = " ".join(map(str, prompt)), len(prompt)
    elif isinstance(prompt, str):
        text, count = prompt, texts.count_tokens(prompt)
    else:
        raise ApiError(400, "the simulator serves one prompt per request", param="prompt")
    what = (False, model, text, count, prompt)
    return _generation(body, served, what, COMPLETION_MAX_TOKENS if limit is None else limit)


def _generation(
    body: Body, served: Served, what: tuple[bool, str, str, int, str | list[int]], limit: int | None
) -> Generation:
    chat, model, prompt, count, tokens = what
    if _integer(body, "n") not in {None, 1}:
        raise ApiError(400, "the simulator answers with one choice: n must be 1", param="n")
    room = _room(count, limit, served.max_model_len)
    wanted = served.output_tokens if limit is None else limit
    options = body.get("stream_options") or {}
    return Generation(
        chat=chat,
        model=model,
        prompt=prompt,
        prompt_tokens=count,
        output_tokens=min(wanted, room),
        max_tokens_param=room if limit is None else min(limit, room),
        finish_reason="stop" if limit is None and wanted <= room else "length",
        stream=bool(body.get("stream")),
        include_usage=bool(isinstance(options, dict) and options.get("include_usage")),
        hashes=_hashes(tokens, served, model),
    )


def _hashes(tokens: str | list[int], served: Served, model: str) -> tuple[int, ...]:
    """Of cached blocks, which no two adapters share."""
    hashes = texts.block_hashes(tokens, served.cached_block) if served.cached_block else ()
    return tuple(hash((model, value)) & sys.maxsize for value in hashes) if model in served.adapters else hashes


def _room(prompt_tokens: int, limit: int | None, longest: int) -> int:
    """Tokens that the answer may have: vLLM shortens one that would not fit, and refuses a prompt that does not."""
    if limit is not None and limit > longest:
        raise _value_error(
            f"max_tokens={limit} cannot be greater than max_model_len={longest}. Please request fewer output tokens.",
            "max_tokens",
            limit,
        )
    if prompt_tokens > longest:
        raise _value_error(
            f"This model's maximum context length is {longest} tokens. However, your prompt contains at least "
            f"{longest + 1} input tokens, which exceeds this limit even without any output tokens. Please reduce the "
            "length of the input prompt.",
            "input_tokens",
            longest + 1,
        )
    room = longest - prompt_tokens
    least = room if limit is None else min(limit, room)
    if least < 1:
        raise _value_error(f"max_tokens must be at least 1, got {least}.", "max_tokens", least)
    return room


def _value_error(message: str, parameter: str, value: int) -> ApiError:
    return ApiError(400, f"{message} (parameter={parameter}, value={value})", param=parameter)


def _model(body: Body, served: Served) -> str:
    model = body.get("model") or served.names[0]
    if model in served.names or model in served.adapters:
        return str(model)
    message = f"The model `{model}` does not exist. Valid aliases: {', '.join(served.names)}."
    raise ApiError(404, message, "NotFoundError", "model")


def required(body: Body, name: str) -> object:
    """A field that a body must have. Raises ApiError."""
    if name not in body:
        shown = f"'<dict of {len(body)} items>'"
        raise _validation(
            f"{{'type': 'missing', 'loc': 'body.{name}', 'msg': 'Field required', 'input': {shown}}}", name
        )
    return body[name]


def _integer(body: Body, name: str) -> int | None:
    value = body.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    try:
        return int(str(value))
    except ValueError:
        text = "Input should be a valid integer, unable to parse string as an integer"
        raise _invalid("int_parsing", name, text, value) from None


def _invalid(kind: str, name: str, message: str, value: object) -> ApiError:
    return _validation(f"{{'type': '{kind}', 'loc': 'body.{name}', 'msg': '{message}', 'input': {value!r}}}", name)


def _validation(problem: str, name: str) -> ApiError:
    return ApiError(400, f"1 validation error:\n  {problem}", "Bad Request", f"body.{name}")


def bad_json(position: int, reason: str) -> ApiError:
    """The body is not JSON."""
    problem = (
        f"{{'type': 'json_invalid', 'loc': 'body.{position}', 'msg': 'JSON decode error', "
        f"'input': '<dict of 0 items>', 'ctx': {{'error': '{reason}'}}}}"
    )
    return _validation(problem, str(position))


def models(config_names: Sequence[str], root: str, max_model_len: int, adapters: Mapping[str, str], now: int) -> Body:
    """The answer of GET /v1/models; `adapters`: paths by name."""
    cards = [_model_card(name, root, max_model_len, now) for name in config_names]
    cards += [_model_card(name, path, None, now) | {"parent": config_names[0]} for name, path in adapters.items()]
    return {"object": "list", "data": cards}


def _model_card(name: str, root: str, max_model_len: int | None, now: int) -> Body:
    permission: Mapping[str, Any] = {
        "id": f"modelperm-{abs(hash((name, now))):016x}"[:26],
        "object": "model_permission",
        "created": now,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    return {
        "id": name,
        "object": "model",
        "created": now,
        "owned_by": "vllm",
        "root": root,
        "parent": None,
        "max_model_len": max_model_len,
        "permission": [permission],
    }
