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
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from bench.machine import described
from slmfleet.core.build.guard import token
from slmfleet.core.names import Names
from slmfleet.kube.client import Client
from slmfleet.kube.keys import own_key
from slmfleet.kube.resources import PODS
from slmfleet.runtime.objects import SLM_DEPLOYMENTS
from slmfleet.runtime.settings import Settings

from . import api, operating
from .fleet import Replica
from .measures import QUIET_SECONDS, all_loaded, fanout, replays
from .objects import FLEET, NAMESPACE, pod
from .world import Shown, World, process

RESULT: Final = Path(__file__).parents[1] / "results" / "lora.json"
REPLAYS: Final = 2
STOP_SECONDS: Final = 10.0
FANOUT_BUDGET: Final = 2.0
REPLAY_BUDGET: Final = 1.5


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
