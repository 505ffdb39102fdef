"""The engine that is measured: vLLM's CPU build with the tiny model."""

import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from e2e.contract import servers
from slmfleet.engine.steptime import StepTime
from slmfleet.simulator.records import EngineModel

from . import cores

HOST: Final = "127.0.0.1"
NAME: Final = "tiny"
MAX_NUM_SEQS: Final = 16
MAX_NUM_BATCHED_TOKENS: Final = 512
OPTIONS: Final = (
    *("--served-model-name", NAME, "--host", HOST, "--no-enable-prefix-caching"),
    *("--max-num-seqs", str(MAX_NUM_SEQS), "--max-num-batched-tokens", str(MAX_NUM_BATCHED_TOKENS)),
)
_COUNTED_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Totals:
    """What the engine has counted between two looks, in seconds on its own clock."""

    requests: float
    """That got their first token."""
    steps: float
    preemptions: float
    prefill: float
    """From the first step with a request to its first token, summed."""
    queue: float
    gap: float
    """Between a request's tokens, summed."""
    gaps: float

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(*(getattr(self, name) - getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Engine:
    """A server that answers."""

    port: int
    pid: int
    version: str
    block_size: int
    num_blocks: int

    def model(self, step: StepTime) -> EngineModel:
        """The same engine as the simulator has it."""
        return EngineModel(
            num_blocks=self.num_blocks,
            a=step.a,
            p=step.p,
            d=step.d,
            kappa=step.kappa,
            max_num_seqs=MAX_NUM_SEQS,
            max_num_batched_tokens=MAX_NUM_BATCHED_TOKENS,
            block_size=self.block_size,
        )

    def totals(self) -> Totals:
        """From the metrics page, at this moment."""
        return _totals(_samples(_get(self.port, "/metrics")))

    def totals_since(self, before: Totals, requests: int) -> Totals:
        """When so many more requests are counted: the server counts a little after it has sent the last token.

        Raises TimeoutError.
        """
        deadline = time.monotonic() + _COUNTED_SECONDS
        while (since := self.totals() - before).requests < requests:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the engine counted {since.requests:.0f} of {requests} requests")
            time.sleep(0.02)
        return since


@contextmanager
def started(folder: Path) -> Iterator[Engine]:
    """An engine on cores of its own; gone at the end. Its log lies in the folder."""
    with servers.started(servers.vllm(folder), folder / "engine.log", OPTIONS) as server:
        cores.separate(server.process.pid)
        page = _get(server.port, "/metrics")
        (config,) = (labels for name, labels, _ in _lines(page) if name == "vllm:cache_config_info")
        version = server.get("/version").json["version"]
        sizes = int(config["block_size"]), int(config["num_gpu_blocks"])
        yield Engine(server.port, server.process.pid, version, *sizes)


def _get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=_COUNTED_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _lines(page: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def _samples(page: str) -> dict[str, float]:
    return {name: value for name, labels, value in _lines(page) if "le" not in labels}


def _totals(samples: Mapping[str, float]) -> Totals:
    return Totals(
        requests=samples["vllm:request_prefill_time_seconds_count"],
        steps=samples["vllm:iteration_tokens_total_count"],
        preemptions=samples["vllm:num_preemptions_total"],
        prefill=samples["vllm:request_prefill_time_seconds_sum"],
        queue=samples["vllm:request_queue_time_seconds_sum"],
        gap=samples["vllm:inter_token_latency_seconds_sum"],
        gaps=samples["vllm:inter_token_latency_seconds_count"],
    )
