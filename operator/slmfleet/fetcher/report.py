"""What a fetch says: lines on standard output, and its result where the kubelet finds it.

The result file always has one JSON object of at most 4096 bytes, the bound of a container's termination message: the
adapter's facts, or `{"error": reason, "message": text}`. While a fetch runs it says how far it is, so that one that is
killed without a chance to speak has said something.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MAX_RESULT = 4096
MAX_MESSAGE = 900
"""Characters of the text of an error, of up to four bytes each."""
EVERY_SECONDS = 5.0


class Report:
    """Standard output and the result file of one fetch."""

    def __init__(self, result: Path | None, secrets: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._result = result
        self._secrets = secrets
        self._clock = clock
        self._said = clock()

    def say(self, line: str) -> None:
        """One line, without secrets and without what could pass for another line."""
        sys.stdout.write(f"{self._clean(line)}\n")
        sys.stdout.flush()

    def arrived(self, done: int, total: int) -> None:
        """Bytes so far; every five seconds they are told."""
        if self._clock() - self._said >= EVERY_SECONDS:
            self._said = self._clock()
            self.say(f"{done} of {total} bytes")
            self._write({"error": "Interrupted", "message": f"the fetch was ended at {done} of {total} bytes"})

    def failed(self, reason: str, message: str) -> None:
        """The end, without an adapter."""
        text = self._clean(message)[:MAX_MESSAGE]
        self.say(f"{reason}: {text}")
        self._write({"error": reason, "message": text})

    def succeeded(self, facts: Mapping[str, Any]) -> None:
        """The end, with an adapter."""
        self.say(f"done: {facts['digest']}, {facts['bytes']} bytes, rank {facts['rank']}")
        self._write(facts)

    def _write(self, what: Mapping[str, Any]) -> None:
        text = json.dumps(what, ensure_ascii=False).encode()
        if len(text) > MAX_RESULT:
            raise ValueError(f"a result of {len(text)} bytes, {MAX_RESULT} are allowed")
        if self._result is not None:
            self._result.write_bytes(text)

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        # Addresses that storage signed carry their signature in the query.
        text = re.sub(r"(https?://[^\s?\"']+)\?[^\s\"']+", r"\1?***", text)
        return "".join(character if character.isprintable() else " " for character in text)
