"""A bounded memory of what was asked for."""

import asyncio
from collections.abc import Iterable
from math import inf

import pytest

from slmfleet.kube.asked import Asked
from slmfleet.kube.errors import TransientError

pytestmark = pytest.mark.looptime


class Server:
    """Gives one answer after the other, and the last one for ever; an exception is raised."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.calls = 0

    async def ask(self) -> str:
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def wanted(asked: Asked, server: Server, keys: Iterable[str]) -> list[str]:
    return [await asked.text(key, server.ask) for key in keys]


async def test_a_text_is_asked_for_once() -> None:
    asked, server = Asked(2, again=0.0), Server("first", "second")
    assert await wanted(asked, server, "aab") == ["first", "first", "second"]
    await asyncio.sleep(1e6)
    assert await asked.text("a", server.ask) == "first"


@pytest.mark.parametrize(
    ("again", "slept", "told"),
    [(0.0, 0.0, "found"), (60.0, 59.0, ""), (60.0, 61.0, "found"), (inf, 1e6, "")],
)
async def test_an_empty_one_is_asked_for_again_in_time(again: float, slept: float, told: str) -> None:
    asked, server = Asked(2, again), Server("", "found")
    assert await asked.text("a", server.ask) == ""
    await asyncio.sleep(slept)
    assert await asked.text("a", server.ask) == told


async def test_an_error_is_raised_and_not_remembered() -> None:
    asked, server = Asked(2, again=inf), Server(TransientError("away"), "found")
    with pytest.raises(TransientError):
        await asked.text("a", server.ask)
    assert await asked.text("a", server.ask) == "found"


async def test_what_was_not_wanted_for_longest_is_forgotten() -> None:
    asked, server = Asked(2, again=0.0), Server("text")
    await wanted(asked, server, "abac")
    assert server.calls == 3
    await wanted(asked, server, "ac")
    assert server.calls == 3, "b went, which was not wanted since"
    await wanted(asked, server, "b")
    assert server.calls == 4
