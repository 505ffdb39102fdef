"""What the API server's answers mean, and those of the proxies before it."""

import json
from typing import Any, Final

from .errors import (
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    KubeError,
    NamespaceGoneError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from .resources import Manifest

_UNAVAILABLE: Final = {401, 408, 429, 502, 503, 504}
# Answers with 500 that stay until somebody repairs something, so the user must read about them: a webhook that cannot
# be called, and a field that server-side apply does not know (kubernetes#139253).
_LASTING: Final = ("webhook", "typed patch object")


def error_of(code: int, status: Manifest, retry_after: str | None) -> KubeError:
    """The typed error of an answer; `status` is the server's metav1.Status."""
    message = str(status.get("message") or f"HTTP {code}")[:4096]
    details = _mapping(status.get("details"))
    causes = details.get("causes")
    reasons = [_mapping(cause).get("reason") for cause in causes] if isinstance(causes, list) else []
    # What a namespace on its way out refuses (403) will not be there in a moment.
    if "NamespaceTerminating" in reasons or (code == 404 and details.get("kind") == "namespaces"):
        return NamespaceGoneError(message)
    if code == 404:
        return NotFoundError(message)
    if code == 409:
        return AlreadyExistsError(message) if status.get("reason") == "AlreadyExists" else ConflictError(message)
    if code == 410:
        return ExpiredError(message)
    if (400 <= code < 500 and code not in _UNAVAILABLE) or (code == 500 and any(word in message for word in _LASTING)):
        return RefusedError(message)
    seconds = retry_after or details.get("retryAfterSeconds")
    return TransientError(message, float(str(seconds)) if str(seconds).isdecimal() else None)


def result_of(error: KubeError) -> str:
    """What a failed write counts as: its error's type in a word."""
    kind = next(kind for kind in (NotFoundError, ConflictError, type(error)) if isinstance(error, kind))
    return kind.__name__.removesuffix("Error").lower()


def _mapping(value: object) -> Manifest:
    """A proxy's answer may look like a Status and have anything in its fields."""
    return value if isinstance(value, dict) else {}


def parsed(body: bytes) -> Manifest:
    """The Status in an error's body; proxies in between answer with text."""
    try:
        status: Any = json.loads(body)
    except ValueError:
        status = {"message": body.decode(errors="replace").strip()}
    return status if isinstance(status, dict) else {}


def words(error: BaseException) -> str:
    """What an exception says; its type where it says nothing."""
    return str(error) or type(error).__name__
