"""The generated page docs/reference/engine-fields.md: what each field of spec.engine becomes, by release and platform.

Each field is resolved with a sample value for every release, so the page says what the operator does.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final

from slmfleet.api.catalogue import builtin
from slmfleet.api.describe import description
from slmfleet.api.slmdeployment import SLMDeploymentSpec
from slmfleet.engine.flags import FlagTable
from slmfleet.engine.resolution import Request, Resolution
from slmfleet.engine.resolve import resolve

PLATFORMS: Final = {"CUDA": "nvidia-h100-sxm", "CPU": "cpu"}
SAMPLES: Final[Mapping[str, Any]] = {
    "quantization": "compressed-tensors",
    "dtype": "half",
    "loadFormat": "safetensors",
    "gguf": {"quant": "Q4_K_M"},
    "tokenizer": {"uri": "hf://a/b", "revision": "v1"},
    "trustRemoteCode": True,
    "maxModelLen": 8192,
    "kvCacheDtype": "fp8",
    "prefixCaching": True,
    "gpuMemoryUtilizationPercent": 90,
    "kvCacheMemory": "4Gi",
    "kvOffload": {"size": "4Gi"},
    "kvOffload.backend": {"size": "4Gi", "backend": "LMCache"},
    "swapSpace": "4Gi",
    "cpuOffload": {"size": "4Gi"},
    "cpuOffload.backend": {"size": "4Gi", "backend": "Prefetch", "groupSize": 4},
    "maxNumSeqs": 256,
    "maxNumBatchedTokens": 8192,
    "chunkedPrefill": True,
    "schedulingPolicy": "FCFS",
    "enforceEager": True,
    "optimizationLevel": 2,
    "task": "Embed",
    "speculative": {"method": "ngram", "tokens": 3},
    "speculative.model": {"method": "draft_model", "model": "hf://a/draft", "tokens": 3},
    "lora": {"maxAdapters": 4, "maxRank": 16, "maxCpuAdapters": 8},
    "sleepMode": True,
    "toolCallParser": "hermes",
    "reasoningParser": "deepseek_r1",
    "chatTemplate": {"configMapRef": {"name": "templates", "key": "chat.jinja"}},
    "apiKeySecretRef": {"name": "keys", "key": "api"},
}
"""Field -> a value that every release knows; `a.b` is a sample of `a` that shows its `b`."""
LABELS: Final = {"kvOffload.backend": "LMCache", "cpuOffload.backend": "Prefetch", "speculative.model": "a draft model"}
_INTRO: Final = """\
What the fields of `spec.engine` become on the command line of vLLM, read from the operator itself: each field with a
sample value, for every release from {oldest} to {newest}. *left out*: the engine runs without, and
`status.engine.adjusted` says so. *refused*: nothing is started, and `EngineCompatible` says why. A release
newer than {newest} is treated as {newest}. `slmfleet explain -f FILE` says the same of a manifest of yours.

Switches have the opposite `--no-...` for `false`. Values in vLLM's own words (quantizations, number formats of the KV
cache, load formats, parsers, ranks) are checked against what the release knows."""


def engine_page(header: str) -> str:
    """The page."""
    table = FlagTable.load()
    lines = [f"<!-- {header} -->", "", "# Engine fields by release", ""]
    lines += [_INTRO.format(oldest=table.oldest, newest=table.newest), ""]
    lines += [f"| field | {' | '.join(PLATFORMS)} | what it is |", f"|---|{'---|' * len(PLATFORMS)}---|"]
    for path, value in SAMPLES.items():
        label = f"`{path}`" + (f" ({LABELS[path]})" if path in LABELS else "")
        cells = [_ranges(path.partition(".")[0], value, on) for on in PLATFORMS.values()]
        cells = [cell if at == 0 or cell != cells[0] else "same" for at, cell in enumerate(cells)]
        text = description(f"spec.engine.{path}").replace("|", "\\|")
        lines.append(f"| {label} | {' | '.join(cells)} | {text} |")
    return "\n".join(lines) + "\n"


def _ranges(field: str, value: object, on: str) -> str:
    """What becomes of a field from release to release, neighbours with the same outcome together."""
    versions = [str(version) for version in FlagTable.load().releases]
    outcomes = [(version, _outcome(field, resolution(version, field, value, on))) for version in versions]
    told = []
    for outcome, group in groupby(outcomes, key=lambda pair: pair[1]):
        held = [version for version, _ in group]
        whole = len(held) == len(versions)
        last = held[-1] == versions[-1]
        span = "" if whole else f"from {held[0]}: " if last else f"{held[0]} to {held[-1]}: "
        told.append(f"{f'{held[0]}: ' if len(held) == 1 and not last else span}{outcome}")
    return "; ".join(told)


def resolution(version: str, field: str, value: object, on: str) -> Resolution:
    """What a spec with one field of the engine comes to."""
    engine = {"version": version, field: value}
    spec = SLMDeploymentSpec.model_validate(
        {"model": {"uri": "hf://a/b"}, "engine": engine, "accelerator": {"class": on}}
    )
    accelerator = builtin(on)
    assert accelerator is not None
    return resolve(Request("name", spec, accelerator, drain_seconds=300))


def _outcome(field: str, found: Resolution) -> str:
    path = f"spec.engine.{field}"
    if any(_of(problem.field, path) for problem in found.problems):
        return "*refused*"
    flags = [argument.words[0] for argument in found.arguments if _of(argument.field, path)]
    variables = [variable.name for variable in found.variables if _of(variable.field, path)]
    told = _code(flags) + [f"env `{name}`" for name in variables]
    return ", ".join(told) or "*left out*"


def _of(field: str, path: str) -> bool:
    return field == path or field.startswith(f"{path}.")


def _code(words: Iterable[str]) -> list[str]:
    return [f"`{word}`" for word in words]
