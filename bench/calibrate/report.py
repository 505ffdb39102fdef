"""What a calibration found: for people, and as files."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np

from bench.autoscale.fleet.requests import Requests
from bench.machine import machine, processor, today
from e2e.cluster.settings import REPOSITORY

from .controls import Fitted, Series
from .engine import MAX_NUM_BATCHED_TOKENS, MAX_NUM_SEQS, Engine
from .loads import Behaviour, Run

RESULT: Final = REPOSITORY / "bench" / "results" / "calibration.json"
COEFFICIENTS: Final = REPOSITORY / "operator" / "slmfleet" / "engine" / "steptime.json"
ROW: Final = "cpu-tiny"
MODEL: Final = "random Llama, 2 layers of 128, 0.4 M parameters, bf16"
FIGURES: Final = tuple(field.name for field in fields(Behaviour))


@dataclass(frozen=True, slots=True)
class Calibration:
    """All that was measured."""

    engine: Engine
    series: Sequence[Series]
    fitted: Fitted
    rate: float
    """Requests of the open loads per second that the model can take."""
    loads: Mapping[str, Requests]
    runs: Mapping[str, Sequence[Run]]
    """The least disturbed first,"""
    repeat: int
    """of which so many count."""


def error(run: Run, figure: str) -> float:
    """(model - real) / real."""
    real: float = getattr(run.real, figure)
    model: float = getattr(run.model, figure)
    return model / real - 1.0


def text(found: Calibration) -> str:
    """For people."""
    lines = [f"{'load':20} {'measured':>10} {'model':>10}  error  others' cores"]
    for series, off in zip(found.series, found.fitted.errors, strict=True):
        seconds = series.median(lambda one: one.seconds)
        others = series.quietest[-1].disturbance.others
        at = f"{seconds * 1e3:8.2f} {seconds * (1 + off) * 1e3:10.2f}"
        lines.append(f"{series.control.name:20} {at} ms {off:+6.1%} {others:6.2f}")
    step, fitted = found.fitted.step, found.fitted
    lines += [
        f"a {step.a * 1e3:.3f} ms, p {step.p * 1e6:.2f} us, d {step.d * 1e6:.1f} us, kappa {step.kappa * 1e9:.2f} ns",
        f"outside of steps {fitted.per_request * 1e3:.2f} ms per request, {fitted.per_token * 1e6:.2f} us per token",
    ]
    for name, runs in found.runs.items():
        counted = runs[: found.repeat]
        others = max(run.disturbance.others for run in counted)
        lines.append(f"{name}, {rate(found.loads[name]):.2f} requests/s, others had at most {others:.2f} cores")
        for figure, row in compared(counted).items():
            at = f"{row['real']:12.4g} {row['model']:10.4g} {row['error']:+6.1%}"
            lines.append(f"  {figure:18} {at}  ({row['least']:+.1%} to {row['most']:+.1%})")
    return "\n".join(lines) + "\n"


def rate(requests: Requests) -> float:
    """Requests per second."""
    return len(requests) / float(requests.arrival[-1])


def compared(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Medians over the runs of one load, and how far their errors spread."""
    rows = {}
    for figure in FIGURES:
        errors = [error(run, figure) for run in runs]
        rows[figure] = {
            "real": statistics.median(getattr(run.real, figure) for run in runs),
            "model": statistics.median(getattr(run.model, figure) for run in runs),
            "error": statistics.median(errors),
            "least": min(errors),
            "most": max(errors),
        }
    return rows


def write(found: Calibration) -> None:
    """Keep the result, and put its row into the coefficients' file."""
    RESULT.write_text(json.dumps(rounded(_result(found)), indent=2) + "\n", encoding="utf-8")
    table = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))
    table[ROW] = _row(found)
    COEFFICIENTS.write_text(json.dumps(rounded(table), indent=2) + "\n", encoding="utf-8")


def rounded(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Four digits of every fraction: no measurement here has more."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def _row(found: Calibration) -> dict[str, Any]:
    settings = f"prefix caching off, max_num_seqs {MAX_NUM_SEQS}, max_num_batched_tokens {MAX_NUM_BATCHED_TOKENS}"
    return asdict(found.fitted.step) | {
        "hardware": f"one core of {processor()}",
        "model": MODEL,
        "accelerator": None,
        "parameters": 362_368,
        "kv_bytes_per_token": 512,
        "kv_tokens": found.engine.num_blocks * found.engine.block_size,
        "basis": "measured",
        "source": f"measured by bench.calibrate on {today()} with vLLM {found.engine.version}, {settings}",
    }


def _result(found: Calibration) -> dict[str, Any]:
    fitted = found.fitted
    return {
        "command": "python -m bench.calibrate --write",
        "date": today(),
        "machine": f"{machine()}, the engine's worker on one core, its server and the load on another",
        "vllm": found.engine.version,
        "model": MODEL,
        "max_num_seqs": MAX_NUM_SEQS,
        "max_num_batched_tokens": MAX_NUM_BATCHED_TOKENS,
        "prefix_caching": False,
        "coefficients_seconds": asdict(fitted.step),
        "outside_of_steps_seconds": {"per_request": fitted.per_request, "per_prompt_token": fitted.per_token},
        "fit_median_error": float(np.median(np.abs(fitted.errors))),
        "fit_worst_error": float(np.max(np.abs(fitted.errors))),
        "fit": [_fit_row(one, float(off)) for one, off in zip(found.series, fitted.errors, strict=True)],
        "requests_per_second_at_most": found.rate,
        "loads": {name: _load(found.loads[name], runs[: found.repeat], len(runs)) for name, runs in found.runs.items()},
    }


def _fit_row(series: Series, off: float) -> dict[str, Any]:
    return {
        "load": series.control.name,
        "seconds": series.median(lambda one: one.seconds),
        "error": off,
        "steps": series.median(lambda one: one.steps),
        "others_cores": series.quietest[-1].disturbance.others,
        "measurements": len(series.measured),
    }


def _load(requests: Requests, runs: Sequence[Run], of: int) -> dict[str, Any]:
    return {
        "requests": len(requests),
        "requests_per_second": rate(requests),
        "prompt_tokens": int(requests.prompt.sum()),
        "output_tokens": int(requests.output.sum()),
        **compared(runs),
        "runs_made": of,
        "runs": [
            {
                "errors": {figure: error(run, figure) for figure in FIGURES},
                "engine_steps": run.steps[0],
                "model_steps": run.steps[1],
                "preemptions": run.preemptions,
                "merged_tokens": run.merged,
                "others_cores": run.disturbance.others,
                "worker_waited": run.disturbance.waited,
                "load_average": run.load_average,
            }
            for run in runs
        ],
    }
