"""Bodies of finished and streamed answers, key for key as vLLM 0.32 writes them."""

from dataclasses import dataclass
from typing import Any

from .openai import Body, Generation


@dataclass(frozen=True)
class Head:
    """What every body of one answer shares."""

    id: str
    created: int
    model: str
    """The first served name, whichever alias was asked for."""
    fingerprint: str


def usage(request: Generation, generated: int) -> Body:
    """Token counts of an answer."""
    return {
        "prompt_tokens": request.prompt_tokens,
        "total_tokens": request.prompt_tokens + generated,
        "completion_tokens": generated,
    }


def whole(request: Generation, head: Head, text: str) -> Body:
    """The answer of a request without `stream`."""
    body: Body = {
        "id": head.id,
        "object": "chat.completion" if request.chat else "text_completion",
        "created": head.created,
        "model": head.model,
        "choices": [_chat_choice(request, text) if request.chat else _text_choice(request, text)],
        "service_tier": None,
        "system_fingerprint": head.fingerprint,
        "usage": usage(request, request.output_tokens)
        | {"prompt_tokens_details": None, "completion_tokens_details": None},
    }
    extras = ("prompt_logprobs", "prompt_token_ids", "prompt_text") if request.chat else ()
    return body | dict.fromkeys((*extras, "kv_transfer_params", "ec_transfer_params", "metrics"))


def _chat_choice(request: Generation, text: str) -> Body:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    return {
        "index": 0,
        "message": message | dict.fromkeys(("refusal", "annotations", "audio", "function_call", "reasoning")),
        "logprobs": None,
        "finish_reason": request.finish_reason,
        "stop_reason": None,
        "token_ids": None,
        "routed_experts": None,
    }


def _text_choice(request: Generation, text: str) -> Body:
    return {
        "index": 0,
        "text": text,
        "logprobs": None,
        "finish_reason": request.finish_reason,
        "stop_reason": None,
        "token_ids": None,
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "routed_experts": None,
    }


def opening(head: Head) -> Body:
    """The first chunk of a chat stream: the role and no text."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    return _chunk(head, True, [choice]) | {"prompt_token_ids": None, "prompt_text": None}


def piece(request: Generation, head: Head, text: str, last: bool) -> Body:
    """The chunk of one token; the last one says why the answer ends."""
    reason = request.finish_reason if last else None
    choice: Body = {"index": 0, "logprobs": None, "finish_reason": reason}
    if request.chat:
        choice |= {"delta": {"content": text}, "token_ids": None} | ({"stop_reason": None} if last else {})
    else:
        choice |= {"text": text, "stop_reason": None, "prompt_token_ids": None, "token_ids": None}
    body = _chunk(head, request.chat, [choice])
    # The fingerprint is in the stream's last chunk: this one, unless a chunk with the usage follows.
    return body | {"system_fingerprint": head.fingerprint} if last and not request.include_usage else body


def closing(request: Generation, head: Head) -> Body:
    """The chunk with the usage, for stream_options.include_usage."""
    body = _chunk(head, request.chat, [])
    return body | {"usage": usage(request, request.output_tokens), "system_fingerprint": head.fingerprint}


def _chunk(head: Head, chat: bool, choices: list[Body]) -> Body:
    return {
        "id": head.id,
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": head.created,
        "model": head.model,
        "choices": choices,
    }
