"""Which adapters a pod has and should have, and what clients' names mean: decisions without a call or a clock."""

from __future__ import annotations

from typing import NamedTuple

from .adapter_table import Table

LOADING, LOADED, FAILED, DRAINING = "Loading", "Loaded", "Failed", "Draining"

DRAIN_SECONDS = 300.0
"""After which an adapter is unloaded with requests running: they end on the weights that they began with."""
RETRY_SECONDS = (5.0, 300.0)
"""After the first failure, and at most; in between it doubles."""
RETRIED = frozenset({"NotFound", "Unverified", "NoAnswer"})
"""Reasons that may be gone the next time: files that arrive, a listing that did not answer, an engine that raised."""


class Listing(NamedTuple):
    """What the engine says that it has."""

    base: frozenset[str]
    """Names of the model itself."""
    adapters: dict[str, str]
    """Path by name."""


class Failure(NamedTuple):
    """Why an adapter is not as wanted: a code, and what was said."""

    reason: str
    message: str


FINE = Failure("", "")


class Adapter:
    """One adapter in this pod, under its name in the engine."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path
        self.state = LOADING
        self.problem = FINE
        self.seconds = 0.0
        self.tries = 0
        self.at_work = False
        """A call of the engine's is under way."""
        self.not_before = 0.0
        """When the engine is asked for it again; infinite for never."""
        self.drained_by = 0.0
        """When it is unloaded whatever runs."""

    def failed(self, problem: Failure, now: float) -> None:
        """The engine has not done what it was asked for; `now` in seconds."""
        again = problem.reason in RETRIED or self.state == DRAINING
        if self.state != DRAINING:
            self.state = FAILED
        first, most = RETRY_SECONDS
        wait = min(first * 2.0 ** min(max(self.tries - 1, 0), 10), most)
        self.problem = problem
        self.not_before = now + wait if again else float("inf")


class Residents:
    """The adapters of a pod."""

    def __init__(self) -> None:
        self.adapters: dict[str, Adapter] = {}
        self.aliases: dict[str, str] = {}
        """Names in the engine by what clients call them."""
        self.wanted: Table = {}
        self.listing = Listing(frozenset(), {})

    def resolve(self, model: str) -> str | None:
        """The adapter's name in the engine for a client's name; None where it is none."""
        if model in self.listing.adapters and model not in self.adapters:
            return model  # one of --lora-modules has no alias
        return self.aliases.get(model)

    def leaves(self, name: str) -> bool:
        """Whether an adapter goes from this pod, so that its clients should not come back."""
        wanted = self.wanted.get(name)
        return name in self.adapters and (wanted is None or wanted.leaving)

    def take(self, listing: Listing) -> None:
        """What the engine has counts."""
        self.listing = listing
        for adapter in self.adapters.values():
            if adapter.state == LOADED and listing.adapters.get(adapter.name) != adapter.path:
                adapter.state, adapter.not_before = LOADING, 0.0

    def settle(self, now: float) -> None:
        """What follows from the table and the states without asking the engine; `now` in seconds."""
        for name, wanted in self.wanted.items():
            if name not in self.adapters:
                self.adapters[name] = Adapter(name, wanted.path)
        for adapter in list(self.adapters.values()):
            if not adapter.at_work:
                self._settle(adapter, now)
        self._move_aliases()

    def _settle(self, adapter: Adapter, now: float) -> None:
        if self._kept(adapter):
            if adapter.state == DRAINING:  # the engine still has it, or the next listing says that it has not
                adapter.state, adapter.problem, adapter.not_before = LOADED, FINE, 0.0
        elif adapter.tries == 0:
            del self.adapters[adapter.name]
        elif adapter.state != DRAINING:
            # One that has failed may be in the engine all the same: it is unloaded like the others.
            adapter.state, adapter.problem = DRAINING, FINE
            adapter.not_before, adapter.drained_by = 0.0, now + DRAIN_SECONDS

    def _kept(self, adapter: Adapter) -> bool:
        wanted = self.wanted.get(adapter.name)
        return wanted is not None and wanted.path == adapter.path

    def _serves(self, name: str) -> bool:
        adapter = self.adapters.get(name)
        return adapter is not None and adapter.state == LOADED and self._kept(adapter)

    def _move_aliases(self) -> None:
        targets = {wanted.alias: name for name, wanted in self.wanted.items() if wanted.alias is not None}
        for alias, name in list(self.aliases.items()):
            if alias not in targets or not self._serves(name):
                del self.aliases[alias]
        for alias, name in targets.items():
            if not self._serves(name):
                continue
            if alias in self.listing.base or alias in self.listing.adapters:
                self.aliases.pop(alias, None)
                self.adapters[name].problem = Failure("NameTaken", f"the engine itself serves the name {alias}")
            else:
                self.aliases[alias] = name
                self.adapters[name].problem = FINE
