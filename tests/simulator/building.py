"""Configurations for the simulator's tests."""

from typing import Any

from slmfleet.engine.version import EngineVersion
from slmfleet.simulator.config import EngineConfig, ModelFacts, resolve
from slmfleet.simulator.engine import Engine
from slmfleet.simulator.faults import Faults
from slmfleet.simulator.flags import parse
from slmfleet.simulator.metrics import EngineMetrics
from slmfleet.simulator.openai import Generation
from slmfleet.simulator.records import EngineModel
from slmfleet.simulator.settings import Settings
from slmfleet.simulator.steps import StepModel

LATEST = EngineVersion((0, 32, 0))


def config(
    *argv: str,
    version: EngineVersion = LATEST,
    facts: ModelFacts | None = None,
    environment: dict[str, str] | None = None,
) -> EngineConfig:
    known = facts or ModelFacts(max_len=2048)
    return resolve(parse(argv, version), known, Settings(), version, environment or {})


def engine(faults: Faults | None = None, *, max_num_seqs: int = 4, blocks: int = 64, prefix_blocks: int = 0) -> Engine:
    """100 ms per step and 1,000 prompt tokens per second: round numbers for tests."""
    model = EngineModel(num_blocks=blocks, a=0.1, p=0.001, max_num_seqs=max_num_seqs, prefix_blocks=prefix_blocks)
    made = config("--served-model-name", "tiny")
    return Engine(StepModel(model), EngineMetrics(LATEST, made), faults or Faults())


def generation(prompt_tokens: int = 100, output_tokens: int = 3, **changes: Any) -> Generation:
    fields: dict[str, Any] = {
        "chat": False,
        "model": "tiny",
        "prompt": "hello",
        "prompt_tokens": prompt_tokens,
        "output_tokens": output_tokens,
        "max_tokens_param": output_tokens,
        "finish_reason": "length",
        "stream": False,
        "include_usage": False,
    }
    return Generation(**fields | changes)
