"""What is read of a request before anything is decided about it."""

import json

from starlette.requests import Request

from . import openai
from .openai import ApiError, Body


async def json_body(request: Request) -> Body:
    """The JSON object of a request. Raises ApiError as vLLM refuses another body."""
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(
            400,
            "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
            "Bad Request",
        )
    try:
        body = json.loads(await request.body())
    except json.JSONDecodeError as error:
        raise openai.bad_json(error.pos, error.msg) from error
    if not isinstance(body, dict):
        raise ApiError(400, "1 validation error:\n  Input should be a valid dictionary", "Bad Request", "body")
    return body


async def left(request: Request) -> None:
    """Wait until the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
