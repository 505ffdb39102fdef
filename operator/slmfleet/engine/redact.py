"""Secrets never leave a log: what looks like one is cut before a text reaches a status, an event or our own log."""

import re
from typing import Final

_MASK: Final = "[redacted]"

_PATTERNS: Final = (
    # Tokens with a recognisable shape: Hugging Face, OpenAI and Anthropic, GitHub, Slack, AWS, JWT.
    re.compile(r"\bhf_[A-Za-z0-9]{8,}"),
    re.compile(r"\bsk-[A-Za-z0-9_-]{8,}"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{16,}"),
    re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{8,}"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),
    # A name that says secret, then its value: api_key=..., --api-key ..., "token": "...", Authorization: Bearer ...
    re.compile(
        r"(?i)(?<=[\w-])?((?:api[_-]?key|access[_-]?key|secret(?:[_-]?\w+)?|token|passw(?:or)?d|credential)s?"
        r"[\"']?\s*(?:[=:]|\s)\s*[\"']?)(?!None\b|null\b)([^\s\"',;)\]}]{6,})"
    ),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)([A-Za-z0-9._~+/=-]{8,})"),
    # user:password@ in an address.
    re.compile(r"(\w+://[^\s:/@]+:)([^\s/@]+)(?=@)"),
)


def redact(text: str) -> str:
    """The text with everything that looks like a credential replaced by [redacted]."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{_MASK}" if pattern.groups else _MASK, text)
    return text
