"""Whatever happens to tables, loads and requests: no request is answered by weights that its name never meant."""

import asyncio
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from .adapter_pod import AdapterPod, name, virtually
from .vllm import Load

VERSIONS = [("legal", 1), ("legal", 2), ("sales", 3), ("sales", 4)]
FAILURES = [
    Load(seconds=0.0),
    Load(seconds=40.0),
    Load(status=404, message="No adapter found for /x"),
    Load(status=500, message="LoRA rank 16 is greater than max_lora_rank 8."),
    Load(raises=True),
    Load(raises=True, listed=False, seconds=7.0),
    Load(listed=False),
]

ACTIVE = st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([0, 3, 4]))
"""The version that each alias points to; 0 for none."""
LONG = st.sampled_from([0.0, 1.0, 20.0, 400.0])
STEP = st.one_of(
    st.tuples(st.just("put"), ACTIVE, st.sets(st.sampled_from(VERSIONS), max_size=2)),
    st.tuples(st.just("ask"), st.sampled_from(["legal", "sales"]), LONG),
    st.tuples(st.just("ask"), st.sampled_from(["legal", "sales"]), LONG),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 50.0])),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 50.0])),
    st.tuples(st.just("loads"), st.sampled_from([1, 2, 3, 4]), st.sampled_from(FAILURES)),
    st.tuples(st.just("listing"), st.booleans()),
    st.tuples(st.just("lost"), st.sampled_from([1, 2, 3, 4])),
)
STEPS = st.lists(STEP, min_size=10, max_size=25)


@dataclass
class Run:
    """One history, and what must hold in it."""

    pod: AdapterPod
    meant: dict[str, set[str]] = field(default_factory=lambda: {"legal": set(), "sales": set()})
    """Paths that an alias has ever been asked to point to."""
    table: dict[tuple[str, int], bool] = field(default_factory=dict)
    asked: list["asyncio.Task[None]"] = field(default_factory=list)

    async def put(self, active: tuple[int, int], more: set[tuple[str, int]]) -> None:
        self.table = {version: version[1] in active for version in VERSIONS if version in more or version[1] in active}
        for (alias, version), named in self.table.items():
            self.meant[alias] |= {self.pod.path(version)} if named else set()
        await self.pod.put(self.table)
        # A pod has to take an alias off with the table's answer.
        aliases = (await self.pod.state())["aliases"]
        assert set(aliases) <= {alias for (alias, _), named in self.table.items() if named}

    async def ask(self, alias: str, seconds: float) -> None:
        answer = await self.pod.complete(alias, seconds=seconds)
        if answer.status == 200:
            said = json.loads(answer.body)
            assert said["weights"] in self.meant[alias]
            assert said["model"] == alias
        else:
            assert answer.status == 404

    async def play(self, steps: list[tuple[object, ...]]) -> None:
        vllm = self.pod.vllm
        await self.put((1, 3), set())
        await asyncio.sleep(5)
        for kind, *arguments in steps:
            match kind, arguments:
                case "put", [tuple() as active, set() as more]:
                    await self.put(active, more)
                case "ask", [str() as alias, float() as seconds]:
                    self.asked.append(asyncio.create_task(self.ask(alias, seconds)))
                case "wait", [float() as seconds]:
                    await asyncio.sleep(seconds)
                case "loads", [int() as version, Load() as load]:
                    vllm.loads[self.pod.path(version)] = load
                case "listing", [bool() as fails]:
                    vllm.listing_fails = fails
                case "lost", [int() as version]:
                    for alias in self.meant:
                        if name(alias, version) not in vllm.running:
                            vllm.adapters.pop(name(alias, version), None)

    async def settle(self) -> None:
        """With an engine that works again, the pod has what the table says."""
        self.pod.vllm.loads.clear()
        self.pod.vllm.listing_fails = False
        await asyncio.sleep(1500.0)
        await asyncio.gather(*self.asked)
        state = await self.pod.state()
        final = {key for key, entry in state["adapters"].items() if entry["reason"] == "RankTooLarge"}
        wanted = {name(*version): version for version in self.table}
        assert set(state["adapters"]) == set(wanted)
        assert set(self.pod.vllm.adapters) == set(wanted) - final
        pointed = {alias: key for key, (alias, version) in wanted.items() if self.table[alias, version]}
        refused = {alias for alias, key in pointed.items() if key in final}
        aliases: dict[str, str] = state["aliases"]
        assert {alias: key for alias, key in aliases.items() if alias not in refused} == {
            alias: key for alias, key in pointed.items() if alias not in refused
        }
        # Where the target is refused the one before keeps the alias, if it is still in the table.
        assert {aliases[alias] for alias in refused & aliases.keys()} <= set(wanted) - final


@settings(max_examples=60)
@given(STEPS, st.booleans())
def test_no_request_is_answered_by_weights_that_its_name_never_meant(
    steps: list[tuple[object, ...]], hold: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pod = AdapterPod(Path(folder), hold=hold)
        run = Run(pod)

        async def test() -> None:
            await run.play(steps)
            await run.settle()

        virtually(test)
    if hold:
        assert pod.vllm.beside == []
    assert pod.vllm.most_loading <= (1 if hold else 2)
