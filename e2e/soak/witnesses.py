"""Clients that know what they may be answered, for as long as other things change."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException

from e2e.harness.openai import Endpoint
from e2e.scenarios.adapters import PROMPT

UNKNOWN = "404"
BASE = "the model"
BROKEN_SECONDS = 15.0
"""After a kill: the node's proxies hear of it, and clients that have chosen the dead pod give up."""


class Ledger:
    """By the name that clients ask for: the answers that are right, each a `weights_name()`, BASE or UNKNOWN."""

    def __init__(self) -> None:
        self._right: dict[str, frozenset[str]] = {}

    def right(self, name: str) -> frozenset[str]:
        """What may be answered at this moment."""
        return self._right.get(name, frozenset({UNKNOWN}))

    def also(self, name: str, answer: str) -> None:
        """A change begins: what was right stays so for a while."""
        self._right[name] = self.right(name) | {answer}

    def only(self, name: str, answer: str) -> None:
        """A change is over."""
        self._right[name] = frozenset({answer})

    def settled(self, name: str) -> bool:
        """Whether one answer alone is right."""
        return len(self.right(name)) == 1


@dataclass
class Witnesses:
    """What all clients have been answered."""

    ledger: Ledger
    answers: Counter[str] = field(default_factory=Counter)
    """How often each right answer was given."""
    wrong: list[str] = field(default_factory=list)
    _kills: list[float] = field(default_factory=list)
    _broken: list[tuple[float, float, str]] = field(default_factory=list)

    def killed(self) -> None:
        """An engine dies at this moment without a farewell: connections to it may break."""
        self._kills.append(time.monotonic())

    @property
    def failures(self) -> list[str]:
        """Requests that broke though no engine died while they ran or shortly before."""
        return [
            text
            for began, ended, text in self._broken
            if not any(began - BROKEN_SECONDS <= killed <= ended for killed in self._kills)
        ]

    def __str__(self) -> str:
        return (
            f"{self.answers.total()} right answers, {len(self.answers)} different ones; {len(self.wrong)} wrong ones; "
            f"{len(self._broken)} requests broke, {len(self.failures)} of them without a dead engine"
        )

    @contextmanager
    def asking(self, names: Iterable[str], where: Callable[[str], Endpoint], pause: float) -> Iterator[None]:
        """A client for each name while the body runs: it asks where `where` says, and rests in between."""
        stop = threading.Event()

        def live(name: str) -> None:
            while not stop.wait(pause):
                self._ask(name, where)

        threads = [threading.Thread(target=live, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
            time.sleep(pause / len(threads))  # they do not all ask in the same moment
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)

    def heard(self, name: str, where: Callable[[str], Endpoint]) -> str:
        """What a client is answered at this moment; empty where it gets no answer."""
        try:
            return _said(where(name), name)
        except (OSError, HTTPException):
            return ""

    def _ask(self, name: str, where: Callable[[str], Endpoint]) -> None:
        began, before = time.monotonic(), self.ledger.right(name)
        try:
            said = _said(where(name), name)
        except (OSError, HTTPException) as error:
            if UNKNOWN not in before | self.ledger.right(name):
                text = f"{time.strftime('%H:%M:%S')} {name}: {type(error).__name__}: {error}"
                self._broken.append((began, time.monotonic(), text))
            return
        right = before | self.ledger.right(name)
        if said in right:
            self.answers[said] += 1
        else:
            self.wrong.append(f"{time.strftime('%H:%M:%S')} {name}: {said} instead of {' or '.join(sorted(right))}")


def _said(endpoint: Endpoint, model: str) -> str:
    """Whose weights answered. Raises OSError or HTTPException where there is no answer."""
    status, answer = endpoint.call("POST", "/v1/completions", PROMPT | {"model": model})
    if status == 404:
        return UNKNOWN
    if status >= 500:  # an engine that is told to end while it answers says so
        raise OSError(f"{status} {answer}")
    if status != 200 or answer["model"] != model:
        return f"{status} {answer}"
    first = str(answer["choices"][0]["text"]).split()[0]
    return first if first.startswith("lora-") else BASE
