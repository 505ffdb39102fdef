"""The adapters' agent of a pod: works towards the table of adapters that the pod should have.

The table is whole every time and may come any number of times in any order. An adapter's name in the engine says which
files it was loaded from and never means others, so an answer under that name comes from those weights. What clients
call an adapter, its alias, points to one such name; it moves when the target is loaded. What the table no longer has
loses its alias at once, is left to its running requests, and is unloaded.

Everything here runs on the server's event loop: between two awaits nothing changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from typing import Any

from .adapter_state import DRAINING, FINE, LOADED, LOADING, RETRY_SECONDS, Adapter, Failure, Residents
from .adapter_table import Table, TableError, read_table
from .adapter_traffic import Traffic
from .asgi import Scope
from .engine_calls import EngineCalls, EngineError

LOADS = 2
"""At the same time; one where loads need the engine to themselves."""
HOLD_SECONDS = 30.0
"""How long requests of adapters wait for a load to begin, at most."""
READY_SECONDS = 60.0
"""From the engine's first healthy answer on: the pod is kept unready for its adapters, at most."""
CONFIRM_SECONDS = 10.0
"""From then on too: how long a table from the file waits for the operator's word, at most. The kubelet writes the file
anew a minute late or more, so what it says may be over. An operator that works looks every two seconds."""
LOOK_SECONDS = 0.5
RESYNC_SECONDS = 30.0
MOMENT = 0.01
"""Seconds that the agent waits at least: a clock may round what is less to nothing."""


class Adapters:
    """The agent."""

    def __init__(
        self, engine: EngineCalls, table: Path, roots: list[str], complain: Callable[[str], None], *, hold: bool
    ) -> None:
        """`table`: the file for engines that start.

        `hold`: while the engine loads an adapter it may answer with wrong weights, so no adapter is used then.
        """
        self.roots = roots
        self.ready = False
        self.residents = Residents()
        self._digest = ""
        self._engine, self._file, self._complain, self._hold = engine, table, complain, hold
        self._listed_at = self._confirmed_by = float("-inf")
        self._agent: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, scope: Scope) -> None:
        """Begin to work, with the first thing that the server says."""
        if self._agent is None:
            self._wake = asyncio.Event()
            self._traffic = Traffic(self._wake.set)
            self._engine.meet(scope)
            self._agent = asyncio.get_running_loop().create_task(self._run())

    @property
    def reads_names(self) -> bool:
        """Whether a request may be one of an adapter's."""
        return bool(self.residents.adapters or self.residents.listing.adapters) or not self.ready

    async def enter(self, model: str) -> str | None:
        """A request for `model` begins: the adapter's name in the engine, to be left again; None where it is none."""
        return await self._traffic.enter(lambda: self.residents.resolve(model))

    def leave(self, name: str) -> None:
        """A request that has entered is answered, or its client has left."""
        self._traffic.leave(name)

    def take(self, table: Table, digest: str) -> None:
        """From here on this is what the pod should have."""
        self.residents.wanted, self._digest, self._confirmed_by = table, digest, float("-inf")
        self.residents.settle(_now())
        self._wake.set()

    def state(self) -> dict[str, Any]:
        """What the operator is told."""
        return {
            "adapters": {
                adapter.name: {
                    "path": adapter.path,
                    "state": adapter.state,
                    "reason": adapter.problem.reason,
                    "message": adapter.problem.message,
                    "seconds": round(adapter.seconds, 3),
                    "running": self._traffic.running(adapter.name),
                }
                for adapter in self.residents.adapters.values()
            },
            "aliases": dict(self.residents.aliases),
            "table": self._digest,
            "ready": self.ready,
        }

    async def _run(self) -> None:
        await self._engine_up()
        deadline = _now() + READY_SECONDS
        if not self._digest:
            self._read_file()
        while True:
            self._wake.clear()
            try:
                if _now() >= self._listed_at + RESYNC_SECONDS:
                    await self._look()
                self.residents.settle(_now())
                self._begin()
            except Exception as error:  # noqa: BLE001 - the agent goes on: pods are unready without it
                self._complain(f"adapters: {error!r}")
            waiting = any(adapter.state == LOADING for adapter in self.residents.adapters.values())
            self.ready = self.ready or _now() >= (self._confirmed_by if not waiting else deadline)
            await self._pause(deadline)

    async def _pause(self, deadline: float) -> None:
        """Until something happens or is due."""
        now = _now()
        adapters = self.residents.adapters.values()
        due = [adapter.not_before for adapter in adapters]
        due += [adapter.drained_by for adapter in adapters if adapter.state == DRAINING]
        due += [] if self.ready else [deadline, self._confirmed_by]
        wait = max(MOMENT, min([RESYNC_SECONDS, *(at - now for at in due if at > now)]))
        # Up to Python 3.11 asyncio.wait_for may lose a cancellation: the server could not end.
        timer = asyncio.get_running_loop().call_later(wait, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _engine_up(self) -> None:
        while True:
            try:
                if await self._engine.healthy():
                    return
            except EngineError as error:
                self._complain(f"adapters: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    def _read_file(self) -> None:
        """The table as the operator left it for engines that start: none where there is no file."""
        try:
            with suppress(FileNotFoundError):
                table, digest = read_table(self._file.read_bytes(), self.roots, pod=gethostname())
                self.take(table, digest)
                self._confirmed_by = _now() + (CONFIRM_SECONDS if table else 0.0)
        except (OSError, TableError) as error:
            self._complain(f"{self._file} is not used: {error}")

    def _begin(self) -> None:
        """Start what is due and has room."""
        now = _now()
        for adapter in self.residents.adapters.values():
            if adapter.at_work or now < adapter.not_before:
                continue
            if adapter.state == DRAINING:
                if self._traffic.running(adapter.name) == 0 or now >= adapter.drained_by:
                    self._work(adapter, self._unload(adapter))
            elif adapter.state != LOADED and len(self._tasks) < (1 if self._hold else LOADS):
                self._work(adapter, self._load(adapter))

    def _work(self, adapter: Adapter, work: Coroutine[Any, Any, None]) -> None:
        async def working() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - one adapter's fault must not end the agent
                self._complain(f"adapters: {adapter.name}: {error!r}")
                adapter.failed(Failure("NoAnswer", repr(error)[:200]), _now())
            finally:
                adapter.at_work = False
                self._tasks.discard(task)
                self._wake.set()

        adapter.at_work = True
        task = asyncio.get_running_loop().create_task(working())
        self._tasks.add(task)

    async def _load(self, adapter: Adapter) -> None:
        if self._hold and not await self._traffic.hold(HOLD_SECONDS):
            adapter.problem = Failure("Busy", "the load waits for running requests of adapters to end")
            adapter.not_before = _now() + RETRY_SECONDS[0]
            return
        began = _now()
        adapter.tries += 1
        try:
            problem = await self._engine.load(adapter.name, adapter.path)
            adapter.seconds = _now() - began
            await self._verify(adapter, problem)
        finally:
            if self._hold:
                await self._release()

    async def _verify(self, adapter: Adapter, problem: Failure | None) -> None:
        """Only what the engine lists counts, whatever it answered."""
        try:
            await self._look()
        except EngineError as error:
            # "Already loaded" may speak of a load of ours that could not be verified either.
            if problem is None or problem.reason == "NameTaken":
                problem = Failure("Unverified", str(error))
            adapter.failed(problem, _now())
            return
        path = self.residents.listing.adapters.get(adapter.name)
        if path == adapter.path:
            adapter.state, adapter.problem, adapter.not_before = LOADED, FINE, 0.0
        elif path is not None:
            adapter.failed(Failure("NameTaken", f"the engine has this name with {path}"), _now())
        else:
            adapter.failed(problem or Failure("Unverified", "the engine does not list what it loaded"), _now())

    async def _release(self) -> None:
        """Let requests go on.

        The engine takes over which adapter lies in which slot only where a step's requests differ from those of the
        step before (LoRAModelManager.set_adapter_mapping up to 0.25): a step without adapters comes in between.
        """
        try:
            if not await self._engine.step(min(self.residents.listing.base, default="")):
                self._complain("adapters: the engine could not be given a step without adapters after a load")
        except EngineError as error:
            self._complain(f"adapters: {error}")
        finally:
            self._traffic.release()

    async def _unload(self, adapter: Adapter) -> None:
        adapter.tries += 1
        try:
            await self._engine.unload(adapter.name)
            await self._look()
        except EngineError as error:
            adapter.failed(Failure("EngineRefused", str(error)), _now())
            return
        if adapter.name in self.residents.listing.adapters:
            adapter.failed(Failure("Unverified", "the engine still lists it"), _now())
            return
        del self.residents.adapters[adapter.name]  # the table may have it again: then it begins anew

    async def _look(self) -> None:
        """Read what the engine has. Raises EngineError."""
        self.residents.take(await self._engine.listing())
        self._listed_at = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()
