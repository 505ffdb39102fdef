"""Adapters that come, change, go back and go for minutes, on engines and operators that die.

Engines are simulators, whose answers begin with a digest of the weights that they come from: a client of each adapter
knows at each moment whose answers are right. One in five adapters is on two of the replicas, behind its own Service.
"""

import hashlib
import json
import logging
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from e2e.harness.api import Object
from e2e.harness.installation import Installation
from e2e.harness.namespace import Namespace
from e2e.harness.reach import reach
from e2e.scenarios.adapters import NAME, fleet, held, serves, short, stock
from slmfleet.core.adapters.files import KEPT_FETCHES
from slmfleet.guard.adapter_files import digest

from .adapters import ADAPTERS, OF_SOME, REPLICAS, SOME, VERSIONS, Soak, pods_of
from .faults import Faults, keep_on
from .witnesses import BASE, Ledger, Witnesses

SECONDS = 300.0
SEED = 1
FIRST = ADAPTERS[: len(ADAPTERS) // 2]
"""Those that are there from the start."""
SLOTS = 56
"""Fewer than the adapters would need with a second version each: a change may have to wait."""
ASK_SECONDS = 1.0
PATIENCE_SECONDS = 180.0
QUIET_SECONDS = 20.0
QUIET_CORES = 0.3
"""Of an operator that has nothing to do but to look at three guards."""
MEMORY_BYTES = 256 * 1024 * 1024
"""Half of what the chart allows it."""

logger = logging.getLogger(__name__)


@pytest.mark.soak
def test_after_minutes_of_changes_and_faults_every_adapter_is_what_its_spec_says(
    chat: Namespace, operator: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger.name)
    logger.info("seed %d", SEED)
    folders = stock(chat, tmp_path, {f"{name}-{version}": {"r": 1} for name in ADAPTERS for version in VERSIONS})
    faults, witnesses = Faults(chat, operator), Witnesses(Ledger())
    soak = Soak(chat, faults, random.Random(SEED), folders, witnesses)
    chat.apply(fleet(replicas=REPLICAS, slots=SLOTS))
    chat.becomes_ready(NAME, within=PATIENCE_SECONDS)
    witnesses.ledger.only(NAME, BASE)
    soak.create(*FIRST)
    with witnesses.asking([NAME, "nobody", *ADAPTERS], soak.where, ASK_SECONDS):
        chat.eventually(soak.settled, "the first adapters are served", within=PATIENCE_SECONDS)
        keep_on(soak.step, SECONDS)
        faults.over()
        chat.eventually(soak.settled, "every adapter is what its spec says", within=PATIENCE_SECONDS)

    logger.info("%s; %s", witnesses, dict(soak.steps))
    assert (witnesses.wrong, witnesses.failures) == ([], [])
    assert len(witnesses.answers) > len(ADAPTERS), "few adapters were ever asked for"
    assert len(soak.steps) == 8, "not every kind of change and fault has been seen"
    last = {name: witnesses.heard(name, soak.where) for name in ADAPTERS}
    assert last == {name: soak.answer(name) for name in ADAPTERS}
    for name, folder in soak.wanted.items():
        serves(chat, name, folders[folder], pods=pods_of(name))
    chat.eventually(lambda: _nothing_is_left(soak), "what is there belongs to adapters that are wanted")
    chat.eventually(lambda: _pods_have_what_is_wanted(soak), "every pod has what is wanted and no more")
    assert faults.bugs() == []
    _operator_is_at_rest(operator)


def _pods_have_what_is_wanted(soak: Soak) -> bool:
    """Guards, engines, labels and the table for engines that start."""
    lines = {name: _line(name, soak.folders[folder]) for name, folder in soak.wanted.items()}
    everywhere = [name for name in lines if name not in OF_SOME]
    pods = soak.chat.pods(NAME)
    assert len(pods) == REPLICAS
    places: dict[str, list[str]] = {name: [] for name in lines if name in OF_SOME}
    for pod in pods:
        here = [name for name in places if _label(name) in pod["metadata"]["labels"]]
        for name in here:
            places[name].append(pod["metadata"]["name"])
        _pod_has(soak.chat, pod, {name: lines[name] for name in (*everywhere, *here)})
    assert {name: len(there) for name, there in places.items()} == dict.fromkeys(places, SOME)
    table = json.loads(soak.chat.get("configmap", f"{NAME}-adapters")["data"]["table.json"])
    placed = {
        key: {**line, "pods": sorted(there)} for name, there in places.items() for key, line in lines[name].items()
    }
    assert table == _table({name: lines[name] for name in everywhere}) | ({"placed": placed} if placed else {})
    return True


def _pod_has(chat: Namespace, pod: Object, lines: dict[str, Object]) -> None:
    labels = {label for label in pod["metadata"]["labels"] if label.startswith(_label(""))}
    assert labels == {_label(name) for name in lines if name in OF_SOME}, labels
    name, table = pod["metadata"]["name"], _table(lines)
    told = held(chat, name)
    text = json.dumps(table, sort_keys=True, separators=(",", ":"))
    assert told["table"] == hashlib.sha256(text.encode()).hexdigest(), told["table"]
    assert {each: found["state"] for each, found in told["adapters"].items()} == dict.fromkeys(
        table["adapters"], "Loaded"
    )
    assert told["aliases"] == {line["alias"]: each for each, line in table["adapters"].items()}
    with reach(chat.cluster, chat.name, f"pod/{name}", 8000) as endpoint:
        assert sorted(endpoint.models()) == sorted([NAME, *lines])


def _nothing_is_left(soak: Soak) -> bool:
    """Objects of adapters: a Job for each and a few for a way back, and one Service for those of some replicas."""
    chat = soak.chat
    assert {each["metadata"]["name"] for each in chat.objects("lora")} == set(soak.wanted)
    owners = Counter(job["metadata"]["labels"]["slmfleet.dev/adapter"] for job in chat.objects("job"))
    assert set(owners) == set(soak.wanted)
    assert max(owners.values()) <= 1 + KEPT_FETCHES, owners
    services = {each["metadata"]["name"] for each in chat.objects("service", "slmfleet.dev/adapter")}
    assert services == {f"{name}-adapter" for name in soak.wanted if name in OF_SOME}
    return True


def _operator_is_at_rest(operator: Installation) -> None:
    """It has nothing to do: neither work nor memory may say otherwise."""
    leader = operator.leader()

    def read(metric: str) -> float:
        (value,) = operator.metric(leader, metric).values()
        return value

    before = read("process_cpu_seconds_total")
    time.sleep(QUIET_SECONDS)
    cores = (read("process_cpu_seconds_total") - before) / QUIET_SECONDS
    resident = read("process_resident_memory_bytes")
    logger.info("the operator at rest: %.2f cores, %d MiB", cores, resident // 2**20)
    assert (cores < QUIET_CORES, resident < MEMORY_BYTES) == (True, True), f"{cores} cores, {resident} bytes"


def _line(name: str, folder: Path) -> Object:
    """The adapter as tables have it."""
    path = f"/adapters/{digest(folder).removeprefix('sha256:')}"
    return {f"{name}@{short(folder)}": {"path": path, "alias": name}}


def _table(lines: dict[str, Object]) -> dict[str, Any]:
    return {"adapters": {key: line for each in lines.values() for key, line in each.items()}}


def _label(name: str) -> str:
    return f"adapter.slmfleet.dev/{name}"
