"""What is measured, one function for each of the three parts."""

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

from slmfleet.guard.adapter_layer import TABLE_ROUTE
from slmfleet.kube.resources import PODS, Manifest
from slmfleet.simulator.adapters import weights_name

from .counted import ROUTE as CALLS
from .fleet import Replica, cpu_seconds
from .objects import NAME, NAMESPACE, pod_status
from .world import World

LOAD_ROUTE: Final = "/v1/load_lora_adapter"
QUIET_SECONDS: Final = 1.5
"""Between rounds: longer than news are kept back."""


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
