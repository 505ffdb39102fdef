"""A client of the OpenAI-compatible API, over a connection of its own per request as curl makes it."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Endpoint:
    """An address that this machine reaches."""

    host: str
    port: int
    key: str = field(default="", repr=False)
    """The API key that every request carries; without one no request does."""

    @property
    def headers(self) -> dict[str, str]:
        """What every request says."""
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})

    def get(self, path: str) -> str:
        """The body of a GET that answers 200."""
        return self._request("GET", path).read().decode()

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of any answer; the text where it is no JSON. Headers have underscores for dashes."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        fields = self.headers | {k.replace("_", "-"): v for k, v in headers.items()}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def models(self) -> list[str]:
        """The names that clients may ask for."""
        return [model["id"] for model in json.loads(self.get("/v1/models"))["data"]]

    def chat(self, model: str, prompt: str, max_tokens: int = 8) -> dict[str, Any]:
        """The answer of one chat completion."""
        answer: dict[str, Any] = json.loads(self._chat(model, prompt, max_tokens, stream=False).read())
        return answer

    def chat_stream(self, model: str, prompt: str, max_tokens: int = 8) -> Iterator[dict[str, Any]]:
        """The chunks of a streamed chat completion; returns after [DONE] and fails if the stream ends without it."""
        for line in self._chat(model, prompt, max_tokens, stream=True):
            event = line.decode().strip().removeprefix("data: ")
            if event == "[DONE]":
                return
            if event:
                yield json.loads(event)
        raise OSError("the stream ended without [DONE]")

    def _chat(self, model: str, prompt: str, max_tokens: int, *, stream: bool) -> http.client.HTTPResponse:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "stream": stream,
        }
        return self._request("POST", "/v1/chat/completions", json.dumps(body))

    def _request(self, method: str, path: str, body: str | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        # The response keeps the socket; with "close" nothing stays open after it is read.
        connection.request(method, path, body, self.headers | {"Connection": "close"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise OSError(f"{method} {path} answered {answer.status}: {answer.read().decode()[:500]}")
        return answer
