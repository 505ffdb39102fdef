"""Tasks, guessing ahead, adapters, sleep."""

import json
from collections.abc import Iterator
from typing import Final

from slmfleet.api.engine_features import LoRA, Speculative
from slmfleet.engine import adapters, facts
from slmfleet.engine.container import model_argument
from slmfleet.engine.resolution import Adjustment, Argument, Doubt, Item, Problem, Remark, Request, Variable

from .options import ENGINE, option, switch, unknown_value
from .weights import local_claim_only

CONVERTED: Final = {"Embed": "embed", "Classify": "classify", "Reward": "reward"}
"""What makes a model that generates text into one for another task; for Score the model itself says how it compares."""


def features(r: Request) -> Iterator[Item]:
    """What the engine can do beyond generating text from one set of weights."""
    if r.engine.task is not None:
        yield from _task(r, r.engine.task)
    if r.engine.speculative is not None:
        yield from _speculative(r, r.engine.speculative)
    if r.engine.lora is not None:
        yield from _lora(r, r.engine.lora)
    if r.engine.sleep_mode:
        yield from _sleep(r)


def _task(r: Request, task: str) -> Iterator[Item]:
    field = f"{ENGINE}.task"
    yield from option(r, "--runner", "generate" if task == "Generate" else "pooling", field=field)
    wanted = CONVERTED.get(task)
    if wanted is None:
        return
    if wanted not in (r.flags.values("--convert") or (wanted,)):
        why = f"left to the model: vLLM {r.engine.version} does not turn a generating model into one for rewards"
        yield Adjustment(field, "--convert", why)
        return
    yield from option(r, "--convert", wanted, field=field)


def _speculative(r: Request, wanted: Speculative) -> Iterator[Item]:
    """Guesses change no answer, so an engine that cannot guess that way answers without."""
    field, flag = f"{ENGINE}.speculative", "--speculative-config"
    span = facts.SPECULATIVE_METHODS.get(wanted.method or "")
    if wanted.method is not None and span is None:
        known = [name for name, each in facts.SPECULATIVE_METHODS.items() if each.holds(r.version)]
        yield unknown_value(r, f"{field}.method", wanted.method, known, None)
        return
    if span is not None and not span.holds(r.version):
        why = f"left out: {wanted.method} is not among the methods of vLLM {r.engine.version} ({span} have it)"
        yield Adjustment(f"{field}.method", flag, why)
        return
    if any((found := r.flags.find(a)) and found.name == flag for a in r.engine.extra_args or ()):
        yield Problem(
            field, f"tokens {wanted.tokens}", f"is said once more by {flag} in extraArgs", "remove one of them"
        )
    if wanted.tensor not in (None, 1, r.gpus):
        reason = f"is neither 1 nor spec.parallelism.tensor ({r.gpus})"
        yield Problem(f"{field}.tensor", str(wanted.tensor), reason, "use one of them, or leave it out")
    if wanted.model is not None:
        yield from local_claim_only(r, wanted.model, f"{field}.model")
    if wanted.method == "suffix":
        yield Doubt(f"{field}.method", "suffix works only where the image has the package arctic-inference")
    if wanted.method is None and r.version < facts.DRAFT_MODEL_SINCE:
        text = f"vLLM {r.engine.version} takes EAGLE heads and the like, a plain draft model from 0.15.0 on"
        yield Doubt(f"{field}.model", text)
    yield Argument((flag, json.dumps(_config(wanted))), field)


def _config(wanted: Speculative) -> dict[str, str | int]:
    said = {
        "method": wanted.method,
        "model": model_argument(wanted.model) if wanted.model is not None else None,
        "revision": wanted.revision,
        "num_speculative_tokens": wanted.tokens,
        "draft_tensor_parallel_size": wanted.tensor,
        "quantization": wanted.quantization,
        "prompt_lookup_min": wanted.prompt_lookup_min,
        "prompt_lookup_max": wanted.prompt_lookup_max,
    }
    return {key: value for key, value in said.items() if value is not None}


def _lora(r: Request, wanted: LoRA) -> Iterator[Item]:
    field = f"{ENGINE}.lora"
    yield from switch(r, "--enable-lora", on=True, field=field)
    limits = (
        ("--max-loras", wanted.max_adapters, "maxAdapters"),
        ("--max-lora-rank", wanted.max_rank, "maxRank"),
        ("--max-cpu-loras", wanted.max_cpu_adapters, "maxCpuAdapters"),
    )
    for flag, value, name in limits:
        if value is not None:
            yield from option(r, flag, value, field=f"{field}.{name}")
    if adapters.enabled(r.spec):
        yield Variable(adapters.RUNTIME_UPDATES, field, "without it vLLM has no routes to load an adapter", "1")
    elif r.spec.guard.enabled:
        yield Remark(field, "no LoRAAdapter can be loaded while extraArgs has --api-server-count: vLLM refuses both")


def _sleep(r: Request) -> Iterator[Item]:
    flag, field = "--enable-sleep-mode", f"{ENGINE}.sleepMode"
    if r.platform == "cpu":
        yield Adjustment(field, flag, "left out: it gives back the memory of GPUs, and here are none")
        return
    yield from switch(r, flag, on=True, field=field)
    why = "without it vLLM has no routes to put an engine to sleep"
    yield Variable("VLLM_SERVER_DEV_MODE", field, why, "1")
    if not r.spec.guard.enabled:
        yield Remark(field, "without spec.guard everybody who reaches the engine may put it to sleep, and more")
