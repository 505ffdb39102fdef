"""How soon replicas follow a step of load on a real cluster: `python -m bench.autoscale_live [--rounds N] [--write]`.

Each round is a fleet of its own, of the simulator's pods: once its one replica answers, fourteen clients begin at the
same moment, four requests run and the others queue. Then the round ends with the way back to one replica under the
same clients, all of whose requests must be answered.

    reaction = from the moment before the first client sends to the Deployment asking for more replicas, polled every
               20 ms: the queue forms a little later than it starts to count

The cluster is $KUBECONFIG's, else the local one, which is started. The last line is one JSON object; --write keeps it
in bench/results/autoscale_live.json.
"""

import argparse
import json
import math
import secrets
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.machine import described
from e2e.cluster.console import Console
from e2e.harness.clients import clients
from e2e.harness.cluster import running
from e2e.harness.images import Images
from e2e.harness.installation import installed
from e2e.harness.namespace import Namespace, namespace
from e2e.harness.waiting import eventually
from e2e.scenarios.scaling import HASTY, NAME, manifest, replicas, scale_bounds

RESULT: Final = Path(__file__).parent / "results" / "autoscale_live.json"
POLL_SECONDS: Final = 0.02
PATIENCE_SECONDS: Final = 60.0
MOST: Final = 2


def measured(chat: Namespace) -> tuple[float, int, int, int]:
    """One round: seconds to the reaction, requests, those of them that failed, streams."""
    chat.apply(manifest(f"minReplicas: 1, maxReplicas: {MOST}, targets: {{queueDepth: 2}}"))
    chat.becomes_ready(NAME)
    with chat.service(NAME) as service:
        began = time.monotonic()
        with clients(service, NAME, streaming=6, busy=6, idle=2, pause=0.1) as tally:
            eventually(lambda: replicas(chat) > 1, within=PATIENCE_SECONDS, what="more replicas", every=POLL_SECONDS)
            reaction = time.monotonic() - began
            chat.becomes_ready(NAME)
            scale_bounds(chat, maxReplicas=1)
            chat.eventually(lambda: replicas(chat) == 1, "one replica is left", within=PATIENCE_SECONDS)
    return reaction, tally.requests + len(tally.failures), len(tally.failures), tally.streams


def rounds(number: int) -> list[tuple[float, int, int, int]]:
    """Each in a namespace of its own, with an operator that takes replicas away at once."""
    found = []
    with running(Console(stream=sys.stderr)) as cluster:
        images = Images(cluster)
        with installed(cluster, images.operator, HASTY):
            for index in range(number):
                with namespace(cluster, images, f"autoscale-live-{secrets.token_hex(2)}") as chat:
                    found.append(measured(chat))
                reaction, requests, failed, _ = found[-1]
                sys.stderr.write(f"round {index + 1}: {reaction:.2f} s, {requests} requests, {failed} failed\n")
    return found


def summary(found: Sequence[tuple[float, int, int, int]]) -> dict[str, Any]:
    """The last line."""
    reactions = sorted(reaction for reaction, *_ in found)
    return {
        "reaction_p50_s": round(statistics.median(reactions), 2),
        "reaction_p95_s": round(reactions[math.ceil(0.95 * len(reactions)) - 1], 2),
        "failed_requests": sum(failed for _, _, failed, _ in found),
        "total_requests": sum(requests for _, requests, _, _ in found),
        "streams": sum(streams for *_, streams in found),
        "rounds": len(found),
        "reactions_s": [round(reaction, 2) for reaction, *_ in found],
        **described(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="fleets that see a step of load (10)")
    parser.add_argument("--write", action="store_true", help=f"keep the result in {RESULT.name}")
    arguments = parser.parse_args()
    line = json.dumps(summary(rounds(max(1, arguments.rounds))))
    sys.stdout.write(line + "\n")
    if arguments.write:
        RESULT.write_text(line + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
