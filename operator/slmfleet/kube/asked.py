"""What the API server told once is not asked for again."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable


class Asked:
    """Texts by key, each asked for once. The ones that nobody wanted for longest are forgotten."""

    def __init__(self, kept: int, again: float) -> None:
        """At most `kept` texts; an empty one is asked for again after `again` seconds, infinite for never."""
        self._kept = kept
        self._again = again
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def text(self, key: str, ask: Callable[[], Awaitable[str]]) -> str:
        """What `ask` answers, or has answered before. Raises what it raises, which is not remembered."""
        now = asyncio.get_running_loop().time()
        text, until = self._known.get(key, ("", now))
        if not text and now >= until:
            text = await ask()
            self._known[key] = (text, now + self._again)
        self._known.move_to_end(key)
        while len(self._known) > self._kept:
            self._known.popitem(last=False)
        return text
