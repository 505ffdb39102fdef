"""Deterministic answers and a stand-in for a tokenizer.

A token is one word; the n-th word depends on the prompt and n alone, so a test can ask for a prompt's answer and every
replica gives the same. Prompts count one token per four bytes, about what real tokenizers make of English.
"""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

BYTES_PER_TOKEN: Final = 4
WORDS: Final = (
    *("amber", "apple", "ash", "autumn", "bay", "birch", "blue", "brook", "calm", "candle", "cedar", "chalk", "clay"),
    *("cliff", "cloud", "clover", "coal", "copper", "coral", "dawn", "deep", "dew", "drift", "dune", "dusk", "ember"),
    *(
        "fern",
        "field",
        "flint",
        "fog",
        "forest",
        "frost",
        "glade",
        "gold",
        "grain",
        "green",
        "harbor",
        "hazel",
        "heath",
    ),
    *("ivy", "lake", "leaf", "lime", "linen", "maple", "marsh", "mint", "moss", "night", "oak", "ocean", "olive"),
    *("pearl", "pine", "quartz", "rain", "reed", "ridge", "river", "sage", "salt", "sand", "stone", "willow"),
)


def count_tokens(text: str) -> int:
    """Tokens of a text: one per four bytes of UTF-8, at least one."""
    return max(1, -(-len(text.encode()) // BYTES_PER_TOKEN))


def token_ids(text: str) -> list[int]:
    """Made-up ids for count_tokens(text) tokens: the four bytes of each as a number."""
    data = text.encode()
    return [int.from_bytes(data[at : at + BYTES_PER_TOKEN]) for at in range(0, len(data), BYTES_PER_TOKEN)] or [0]


def chat_prompt(messages: Sequence[dict[str, Any]]) -> str:
    """The conversation as one text, as a chat template would render it."""
    return "".join(f"{m.get('role', 'user')}: {_content(m.get('content'))}\n" for m in messages) + "assistant: "


def _content(content: object) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def block_hashes(prompt: str | Sequence[int], block_size: int) -> tuple[int, ...]:
    """Of the full blocks of a prompt's tokens, each with all that is before it. They hold within one process."""
    hashes = []
    value = 0
    if isinstance(prompt, str):
        data, size = prompt.encode(), block_size * BYTES_PER_TOKEN
        for end in range(size, len(data) + 1, size):
            value = hash((value, data[end - size : end])) & sys.maxsize
            hashes.append(value)
    else:
        for end in range(block_size, len(prompt) + 1, block_size):
            value = hash((value, *prompt[end - block_size : end])) & sys.maxsize
            hashes.append(value)
    return tuple(hashes)


def words(prompt: str, weights: str = "") -> Iterator[str]:
    """The endless answer to a prompt, token by token; each but the first begins with a space.

    Those of an adapter begin with its `weights`.
    """
    seed = hashlib.sha256(f"{weights}{prompt}".encode()).digest()
    at = 0
    if weights:
        yield weights
        at = 1
    while True:
        block = hashlib.sha256(seed + at.to_bytes(8)).digest()
        for byte in block:
            yield (" " if at else "") + WORDS[byte % len(WORDS)]
            at += 1


def answer(prompt: str, tokens: int, weights: str = "") -> str:
    """The first `tokens` tokens of the answer to a prompt."""
    stream = words(prompt, weights)
    return "".join(next(stream) for _ in range(tokens))
