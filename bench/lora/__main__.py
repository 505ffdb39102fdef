"""Many adapters on many replicas: `python -m bench.lora [--write] [--adapters N] [--replicas N] [--rounds N]`.

200 adapters on 25 replicas that serve already, 5,000 residencies. Real is all of the operator (runtime.operator: its
queue, plan(), calls to guards, statuses over HTTP), and each replica: a simulator process with the guard's package in
front, started by the pod's command. A load takes the simulator 50 ms, one at a time in an engine.

    all loaded = from the request that creates the first LoRAAdapter to the last one's status "25/25" in a watch;
                 then guards are asked, and what engines were asked for is counted behind them
    replay     = a replica is killed and started again: from the first answer of its server to /health 200, which the
                 guard keeps from it until all its adapters are loaded; against a loop of loads, one after the other,
                 into an engine without a guard, right before
    fan-out    = from the request that creates one more adapter to its status "25/25"; then all replicas answer to it

What the figures leave out: the API server is the unit tests' one in memory, in a process of its own, so there is no
etcd and no other client; our kinds come by plain watches instead of kopf's; the benchmark is the kubelet; adapters come
with the facts of their files, so nothing is fetched; and weights of real size take longer than 50 ms. CPU time is that
of the operator's process alone. All share this machine's cores, so seconds depend on them.

The last line is one JSON object; --write keeps it in bench/results/lora.json.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from bench.machine import described
from slmfleet.core.build.guard import token
from slmfleet.core.names import Names
from slmfleet.guard.adapter_layer import TABLE_ROUTE
from slmfleet.kube.client import Client
from slmfleet.kube.keys import own_key
from slmfleet.kube.resources import CONFIG_MAPS, PODS, Manifest
from slmfleet.runtime.objects import LORA_ADAPTERS, SLM_DEPLOYMENTS
from slmfleet.runtime.settings import Settings
from slmfleet.simulator.adapters import weights_name

from . import api, operating
from .counted import ROUTE as CALLS
from .fleet import PATIENCE, Replica, cpu_seconds
from .objects import FLEET, NAME, NAMESPACE, adapter, pod, pod_status

RESULT: Final = Path(__file__).parents[1] / "results" / "lora.json"
LOAD_ROUTE: Final = "/v1/load_lora_adapter"
REPLAYS: Final = 2
QUIET_SECONDS: Final = 1.5
"""Between rounds: longer than news are kept back."""
STOP_SECONDS: Final = 10.0
FANOUT_BUDGET: Final = 2.0
REPLAY_BUDGET: Final = 1.5


@dataclass
class Shown:
    """What the statuses of the adapters say, by a watch of our own."""

    loaded: dict[str, str] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, client: Client) -> None:
        """For ever."""
        async for _, obj in client.watch(LORA_ADAPTERS, NAMESPACE, labels="", since="0", seconds=3600):
            self.loaded[obj["metadata"]["name"]] = (obj.get("status") or {}).get("loaded", "")
            self.news.set()

    async def all_say(self, names: Sequence[str], loaded: str) -> None:
        """Return once they do."""
        async with asyncio.timeout(PATIENCE):
            while not all(self.loaded.get(name) == loaded for name in names):
                self.news.clear()
                await self.news.wait()


@dataclass
class World:
    """Everything that runs."""

    folder: Path
    client: Client
    session: aiohttp.ClientSession
    replicas: list[Replica]
    operator: int
    """Its process."""
    told: Connection
    shown: Shown
    paths: dict[str, Path] = field(default_factory=dict)
    """Where the files of each adapter are."""

    async def create(self, names: Sequence[str]) -> None:
        """Create these adapters; their files are there before the first one is."""
        made = [adapter(self.folder / "adapters", name) for name in names]
        self.paths |= {m["metadata"]["name"]: Path(m["status"]["source"]["path"]) for m in made}
        await asyncio.gather(*(self.client.create(LORA_ADAPTERS, NAMESPACE, m, within=60) for m in made))

    async def table(self) -> str:
        """The table for engines that start, as the operator has written it."""
        found = await self.client.get(CONFIG_MAPS, NAMESPACE, Names.of(FLEET).adapter_table)
        (text,) = found["data"].values()
        return str(text)

    async def numbers(self) -> dict[str, float]:
        """The operator's own metrics."""
        self.told.send("numbers")
        found: dict[str, float] = await asyncio.to_thread(self.told.recv)
        return found

    async def residencies(self) -> int:
        """Adapters that guards call loaded, and that answer to their names."""
        said = [await replica.get(self.session, TABLE_ROUTE) for replica in self.replicas]
        return sum(each["adapters"][name]["state"] == "Loaded" for each in said for name in each["aliases"].values())


@contextmanager
def process(
    target: Callable[..., None], *arguments: object, **named: object
) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process of this program, and the way to talk to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    started = context.Process(target=target, args=(*arguments, theirs), kwargs=named, daemon=True)
    started.start()
    try:
        yield started, ours
    finally:
        started.terminate()
        started.join()


async def all_loaded(world: World, names: Sequence[str]) -> dict[str, Any]:
    """All adapters appear at once."""
    engines = [replica.pid for replica in world.replicas]
    before, cpu, theirs = await world.numbers(), cpu_seconds(world.operator), cpu_seconds(*engines)
    began = time.monotonic()
    await world.create(names)
    count = len(world.replicas)
    await world.shown.all_say(names, f"{count}/{count}")
    seconds = time.monotonic() - began
    cpu, theirs = cpu_seconds(world.operator) - cpu, cpu_seconds(*engines) - theirs
    after = await world.numbers()
    calls = [await replica.get(world.session, CALLS) for replica in world.replicas]
    return {
        "residencies": await world.residencies(),
        "all_loaded_s": round(seconds, 2),
        "operator_cpu_s": round(cpu, 2),
        "replicas_cpu_s": round(theirs, 2),
        "load_calls": sum(each[LOAD_ROUTE] for each in calls),
        **{name: round(after[name] - before[name], 2) for name in before},
    }


async def replays(world: World, bare: Replica, number: int) -> dict[str, Any]:
    """Restarts of replicas, each beside a loop of loads into an engine of its own."""
    found = []
    for replica in world.replicas[:number]:
        loop = await bare_loop(world, bare)
        found.append((await replayed(world, replica), loop))
    return {
        "replay_ratio": round(statistics.median(a / b for a, b in found), 3),
        "replay_s": [round(a, 2) for a, _ in found],
        "bare_loop_s": [round(b, 2) for _, b in found],
    }


async def bare_loop(world: World, bare: Replica) -> float:
    """Seconds to load all adapters one after the other, as soon as the engine answers."""
    bare.start()
    try:
        await bare.answers(world.session, healthy=True)
        began = time.monotonic()
        for name, path in world.paths.items():
            await bare.load(world.session, name, str(path))
        return time.monotonic() - began
    finally:
        bare.kill()


async def replayed(world: World, replica: Replica) -> float:
    """Seconds from the server's first answer to a ready pod with all its adapters."""
    name = f"{NAME}-{replica.number:02}"
    live = await world.client.get(PODS, NAMESPACE, name)

    async def says(*, ready: bool) -> None:
        metadata = {key: live["metadata"][key] for key in ("name", "uid")}
        patch: Manifest = {"metadata": metadata, "status": pod_status(replica.starts, ready=ready)}
        await world.client.merge(PODS, NAMESPACE, patch, manager="kubelet")

    replica.kill()
    replica.mount(await world.table())
    replica.start()
    await says(ready=False)
    await replica.answers(world.session)
    began = time.monotonic()
    await replica.answers(world.session, healthy=True)
    seconds = time.monotonic() - began
    said = await replica.get(world.session, TABLE_ROUTE)
    loaded = sum(each["state"] == "Loaded" for each in said["adapters"].values())
    if loaded != len(world.paths) or len(said["aliases"]) != len(world.paths):
        raise RuntimeError(f"{name} is ready with {loaded} of its {len(world.paths)} adapters")
    await says(ready=True)
    await world.shown.all_say([*world.paths], f"{len(world.replicas)}/{len(world.replicas)}")
    return seconds


async def fanout(world: World, rounds: int) -> dict[str, Any]:
    """One adapter more, several times."""
    count, seconds, cpu = len(world.replicas), [], cpu_seconds(world.operator)
    for number in range(rounds):
        name = f"more-{number:03}"
        await asyncio.sleep(QUIET_SECONDS)
        began = time.monotonic()
        await world.create([name])
        await world.shown.all_say([name], f"{count}/{count}")
        seconds.append(time.monotonic() - began)
        wanted = weights_name(world.paths[name])
        for replica in world.replicas:
            if (said := await replica.completion(world.session, name)) != wanted:
                raise RuntimeError(f"{replica.url} answers {said!r} for {name}, not {wanted!r}")
    ordered = sorted(seconds)
    return {
        "fanout_p50_s": round(statistics.median(ordered), 2),
        "fanout_p95_s": round(ordered[math.ceil(0.95 * rounds) - 1], 2),
        "fanout_s": [round(each, 2) for each in seconds],
        "fanout_operator_cpu_s": round((cpu_seconds(world.operator) - cpu) / rounds, 2),
    }


async def measured(arguments: argparse.Namespace, folder: Path, url: str) -> dict[str, Any]:
    """Everything, with an API server at `url`."""
    configuration = Configuration(host=url)
    configuration.retries = None
    client = Client(ApiClient(configuration))
    key = await own_key(client, NAMESPACE, Settings().guard_key, within=30)
    secret = token(Names.of(await client.create(SLM_DEPLOYMENTS, NAMESPACE, FLEET, within=30)), key)
    replicas = [Replica(number, folder, secret) for number in range(arguments.replicas)]
    bare = Replica(arguments.replicas, folder, secret, guarded=False)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        try:
            for replica in replicas:
                replica.start()
            for replica in replicas:
                await replica.answers(session, healthy=True)
                await client.create(PODS, NAMESPACE, pod(replica.number, replica.address), within=30)
            with process(operating.operate, url, profiled=arguments.profile) as (operator, told):
                world = World(folder, client, session, replicas, operator.pid or 0, told, Shown())
                following = asyncio.create_task(world.shown.follow(client))
                found = await figures(world, bare, arguments)
                following.cancel()
                told.send("stop")
                await asyncio.to_thread(operator.join, STOP_SECONDS)
            return found
        finally:
            for replica in (*replicas, bare):
                replica.kill()
            await client.close()


async def figures(world: World, bare: Replica, arguments: argparse.Namespace) -> dict[str, Any]:
    """The three parts, one after the other."""
    names = [f"a-{number:03}" for number in range(arguments.adapters)]
    await world.numbers()  # it runs
    await asyncio.sleep(QUIET_SECONDS)
    found = await all_loaded(world, names)
    sys.stderr.write(f"{found}\n")
    found |= await replays(world, bare, REPLAYS)
    found |= await fanout(world, arguments.rounds)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.lora", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--adapters", type=int, default=200, help="adapters that appear at once (200)")
    parser.add_argument("--replicas", type=int, default=25, help="replicas that get them (25)")
    parser.add_argument("--rounds", type=int, default=10, help="adapters that come after them, one by one (10)")
    parser.add_argument("--write", action="store_true", help=f"keep the result in {RESULT.name}")
    parser.add_argument("--profile", action="store_true", help="tell on stderr where the operator's time goes")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    with tempfile.TemporaryDirectory(prefix="slmfleet-lora-") as name, process(api.serve) as (_, told):
        found = asyncio.run(measured(arguments, Path(name), f"http://127.0.0.1:{told.recv()}"))
    result = {
        "adapters": arguments.adapters,
        "replicas": arguments.replicas,
        **found,
        "load_average": round(os.getloadavg()[0], 1),
        **described(),
    }
    line = json.dumps(result)
    sys.stdout.write(line + "\n")
    if arguments.write:
        RESULT.write_text(line + "\n", encoding="utf-8")
    kept = found["fanout_p95_s"] <= FANOUT_BUDGET and found["replay_ratio"] <= REPLAY_BUDGET
    return 0 if kept and found["residencies"] == arguments.adapters * arguments.replicas else 1


if __name__ == "__main__":
    sys.exit(main())
