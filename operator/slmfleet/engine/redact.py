"""Secrets never leave a log: what looks like one is cut before a text reaches a status, an event or our own log."""

import re
from typing import Final

_MASK: Final = "[redacted]"

_NAME: Final = (
    r"(?:(?:api[_-]?key|access[_-]?key|private[_-]?key|signature|\bsig|\bpwd|secret|passw(?:or)?d|credential|(?:hf|hub|auth|access|api|session)[_-]?token)"
    r"[\w-]{0,40}|\btoken)"
)
_VALUE: Final = r"\"(?!\[redacted)[^\"\n]+\"|'(?!\[redacted)[^'\n]+'|(?!None\b|null\b|\[redacted)[^\s\"',;)\]}]{4,}"

_PATTERNS: Final = (
    # Tokens with a recognisable shape: Hugging Face, OpenAI and Anthropic, GitHub, Slack, AWS, JWT.
    re.compile(r"\bhf_[A-Za-z0-9]{8,}"),
    re.compile(r"\bAIza[A-Za-z0-9_-]{16,}"),
    re.compile(r"\bglpat-[A-Za-z0-9_-]{8,}"),
    re.compile(r"\bsk-[A-Za-z0-9_-]{8,}"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{16,}"),
    re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{8,}"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,1024}\.[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]*"),
    # A name that says secret, then its value: api_key=x, "password": "x", --api-key x. Counts of tokens are no secrets.
    re.compile(rf"(?i)({_NAME}[\"']?\s{{0,4}}[=:]\s{{0,4}})({_VALUE})"),
    re.compile(rf"(?i)(--[\w-]{{0,40}}{_NAME}\s{{1,4}})({_VALUE})"),
    re.compile(r"(?i)\b((?:bearer|basic|authorization: token)\s{1,4})([A-Za-z0-9._~+/=-]{8,})"),
    # user:password@ in an address.
    re.compile(r"(://[^\s:/@]{1,256}:)([^\s/@]{1,1024})(?=@)"),
)


def redact(text: str) -> str:
    """The text with everything that looks like a credential replaced by [redacted]."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{_MASK}" if pattern.groups else _MASK, text)
    return text
