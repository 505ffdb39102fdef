"""`spec.engine.extraArgs`: which flags have no place there, since a second value would win silently."""

import re
from functools import partial
from typing import Final

from .base import Rule, literal, rule

# What would break a replica, or take away what the operator depends on, and what to do instead.
RESERVED_FLAGS: Final[dict[str, str]] = {
    "--model": "set spec.model.uri instead",
    "--revision": "set spec.model.revision instead",
    "--served-model-name": "set spec.model.servedNames instead",
    "--tensor-parallel-size": "set spec.parallelism.tensor instead",
    "-tp": "set spec.parallelism.tensor instead",
    "--api-key": "a key in the arguments could be read in the pod, remove it",
    "--hf-token": "set spec.model.secretRef instead",
    "--host": "the probes and the Service need every address, remove it",
    "--port": "the probes and the Service depend on the operator's value, remove it",
    "--shutdown-timeout": "set spec.drain.timeout instead",
    "--download-dir": "set spec.model.cache instead",
    "--config": "a file could set any of the operator's flags, write its flags here instead",
    "--uds": "the probes and the Service need a port, remove it",
    "--ssl-keyfile": "the probes and the Service speak HTTP, end TLS in front of the Service",
    "--ssl-certfile": "the probes and the Service speak HTTP, end TLS in front of the Service",
    "--help": "the engine would print its options and end, remove it",
    "-h": "the engine would print its options and end, remove it",
    "--headless": "a replica without a server is never ready, remove it",
    "--pipeline-parallel-size": "a replica has the GPUs of spec.parallelism.tensor only, remove it",
    "-pp": "a replica has the GPUs of spec.parallelism.tensor only, remove it",
    "--data-parallel-size": "a replica has the GPUs of spec.parallelism.tensor only, set spec.replicas instead",
    "-dp": "a replica has the GPUs of spec.parallelism.tensor only, set spec.replicas instead",
}


def _as_written(flag: str) -> str:
    """The pattern of every way to write `flag`.

    vLLM takes underscores for dashes, and argparse takes every unambiguous beginning of a long flag: three letters on.
    """
    if not flag.startswith("--"):
        return f"^{flag}(=|$)"
    letters = ["[-_]" if letter == "-" else letter for letter in flag[2:]]
    ending = "".join(f"({letter}" for letter in letters[3:]) + ")?" * len(letters[3:])
    return f"^--{''.join(letters[:3])}{ending}(=|$)"


_PATTERNS: Final = {flag: re.compile(_as_written(flag)) for flag in RESERVED_FLAGS}


FIELD_FLAGS: Final[dict[str, str]] = {
    "--max-model-len": "maxModelLen",
    "--quantization": "quantization",
    "-q": "quantization",
    "--dtype": "dtype",
    "--load-format": "loadFormat",
    "--tokenizer": "tokenizer",
    "--tokenizer-revision": "tokenizer.revision",
    "--trust-remote-code": "trustRemoteCode",
    "--kv-cache-dtype": "kvCacheDtype",
    "--enable-prefix-caching": "prefixCaching",
    "--gpu-memory-utilization": "gpuMemoryUtilizationPercent",
    "--device-memory-utilization": "gpuMemoryUtilizationPercent",
    "--kv-cache-memory-bytes": "kvCacheMemory",
    "--swap-space": "swapSpace",
    "--kv-offloading-size": "kvOffload.size",
    "--kv-offloading-backend": "kvOffload.backend",
    "--cpu-offload-gb": "cpuOffload.size",
    "--offload-backend": "cpuOffload.backend",
    "--offload-group-size": "cpuOffload.groupSize",
    "--offload-num-in-group": "cpuOffload.layersPerGroup",
    "--max-num-seqs": "maxNumSeqs",
    "--max-num-batched-tokens": "maxNumBatchedTokens",
    "--enable-chunked-prefill": "chunkedPrefill",
    "--scheduling-policy": "schedulingPolicy",
    "--enforce-eager": "enforceEager",
    "--optimization-level": "optimizationLevel",
    "--runner": "task",
    "--convert": "task",
    "--task": "task",
    "--enable-lora": "lora",
    "--max-loras": "lora.maxAdapters",
    "--max-lora-rank": "lora.maxRank",
    "--max-cpu-loras": "lora.maxCpuAdapters",
    "--enable-sleep-mode": "sleepMode",
    "--enable-auto-tool-choice": "toolCallParser",
    "--tool-call-parser": "toolCallParser",
    "--reasoning-parser": "reasoningParser",
    "--chat-template": "chatTemplate",
}
"""Flags that a field of spec.engine writes; not --speculative-config, whose JSON says more than the field."""

_LONG: Final = "|".join(flag.removeprefix("--") for flag in FIELD_FLAGS if flag.startswith("--"))
_SHORT: Final = "|".join(flag for flag in FIELD_FLAGS if not flag.startswith("--"))
_FIELD_PATTERN: Final = f"^({_SHORT}|--(no-)?({_LONG}))(=|$)"

_HEAD: Final = "(a.size() > 40 ? a.substring(0, 40) : a).replace('_', '-')"
"""Enough of an item to hold any of these flags: the API server charges a match by the length of both sides."""


def field_flag(argument: str) -> str | None:
    """The flag with a field of its own that an item of extraArgs writes, if any."""
    word = argument.partition("=")[0].replace("_", "-") if argument.startswith("--") else argument.partition("=")[0]
    plain = f"--{word.removeprefix('--no-')}" if word.startswith("--no-") else word
    return plain if plain in FIELD_FLAGS else None


def _told(arguments: list[str]) -> str:
    found = [(argument, flag) for argument in arguments if (flag := field_flag(argument))]
    return "; ".join(
        f"{argument.partition('=')[0]} has a field: set spec.engine.{FIELD_FLAGS[f]}" for argument, f in found
    )


def _free_of(flag: str, arguments: list[str]) -> bool:
    return not any(_PATTERNS[flag].match(argument) for argument in arguments)


# One rule per flag: a map from flags to advice would be shorter, but the API server cannot bound what it costs.
EXTRA_ARGS_RULES: Final[tuple[Rule, ...]] = (
    *(
        rule(
            f"!self.exists(a, a.matches({literal(_as_written(flag))}))",
            f"{flag} is not allowed: {advice}",
            holds=partial(_free_of, flag),
            forbidden=True,
        )
        for flag, advice in RESERVED_FLAGS.items()
    ),
    rule(
        f"!self.exists(a, {_HEAD}.matches({literal(_FIELD_PATTERN)}))",
        "a flag that has a field of its own is not allowed: set the field of spec.engine",
        holds=lambda arguments: not any(map(field_flag, arguments)),
        told=_told,
        message_expression=f"self.filter(a, {_HEAD}.matches({literal(_FIELD_PATTERN)}))[0]"
        " + ' has a field of its own under spec.engine: set that instead'",
        forbidden=True,
    ),
    rule(
        "self.all(a, !a.matches('^--?[a-z][^= ]* '))",
        "a flag and its value in one item reach vLLM as one word: make them two items, or join them with '='",
        holds=lambda arguments: not any(re.match("^--?[a-z][^= ]* ", a) for a in arguments),
        message_expression="'\"' + self.filter(a, a.matches('^--?[a-z][^= ]* '))[0] + '\" reaches vLLM as one "
        'word: make flag and value two items, or join them with "="\'',
    ),
)
