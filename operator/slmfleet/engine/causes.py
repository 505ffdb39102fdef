"""Why an engine did not start, read from its log.

The cause is rarely the last line: a resource-tracker warning, a pydantic address or the API server's "Engine core
initialization failed. See root cause above" comes after it. Patterns are ranked: the first row that matches anywhere
wins, so a specific cause beats the general error that it led to. Lines seen on vLLM 0.32 unless said.
"""

import re
from dataclasses import dataclass
from typing import Final

from .redact import redact

MAX_MESSAGE: Final = 600
MAX_LOG: Final = 65_536
MAX_LINE: Final = 2_000
"""A log comes from the outside: bounded, because patterns take longer than in proportion on a line without an end."""


@dataclass(frozen=True)
class Cause:
    """What the engine said, and what to change in the manifest (empty where nothing general helps)."""

    message: str
    hint: str


def _row(pattern: str, hint: str) -> tuple[re.Pattern[str], str]:
    return re.compile(pattern, re.MULTILINE), hint


_RANKED: Final = (
    _row(
        r"User-specified max_model_len \(\d+\) is greater than the derived max_model_len[^\n]*?"
        r"(?=\.? (?:VLLM_ALLOW|To allow)|$)",
        "lower spec.engine.maxModelLen to what the model supports, or leave it out",
    ),
    _row(
        r"To serve at least one request with the model's max seq len \(\d+\)[^\n]*?(?=\. Try increasing|$)",
        "lower spec.engine.maxModelLen, raise the memory that the KV cache gets, or use a larger accelerator",
    ),
    _row(
        r"No available memory for the cache blocks[^\n.]*",
        "the weights fill the accelerator: raise parallelism.tensor, quantize, or use a larger accelerator",
    ),
    _row(
        r"Available memory on node \d+ \([^\n]*? is less than requested memory for kv \([^\n]*?\)",
        "raise spec.pod.resources memory, or lower VLLM_CPU_KVCACHE_SPACE in spec.pod.env",
    ),
    _row(
        r"Free memory on device[^\n]*? is less than desired GPU memory utilization[^\n.]*",
        "something else uses this GPU; wait for it to end, or lower --gpu-memory-utilization",
    ),
    _row(r"error: unrecognized arguments: [^\n]+", "this vLLM release has no such flag: correct spec.engine.extraArgs"),
    _row(r"error: ambiguous option: [^\n]+", "write the flag out in spec.engine.extraArgs"),
    _row(r"error: argument [^\n]+", "correct the value in spec.engine.extraArgs"),
    _row(r"Unknown quantization method: [^\n]+", "choose a quantization that this vLLM release has"),
    _row(r"Load format [`'\"]?\w+[`'\"]? is not supported[^\n]*", "correct --load-format in spec.engine.extraArgs"),
    _row(
        r"Total number of attention heads \(\d+\) must be divisible by tensor parallel size \(\d+\)",
        "set spec.parallelism.tensor to a divisor of the number of heads",
    ),
    _row(
        r"(?:You are trying to access a gated repo|Access to model [^\n]+ is restricted|401 Client Error)[^\n]*",
        "put a hub token with access to the model into a Secret and name it in spec.model.secretRef",
    ),
    _row(
        r"(?:RepositoryNotFoundError|Repository Not Found"
        r"|(?<!\S)\S+ is not a local folder and is not a valid model identifier)"
        r"[^\n]*",
        "correct spec.model.uri, or name a hub token in spec.model.secretRef if the model is private",
    ),
    _row(
        r"(?:Incorrect path_or_model_id|Repo id must be in the form|Invalid repository ID or local directory)[^\n]*",
        "there is no model at the path: check spec.model.uri and what the volume or the image holds",
    ),
    _row(
        r"(?:We couldn't connect to '|Cannot find an appropriate cached snapshot folder)[^\n]*?(?=\. To enable|$)",
        "the pod cannot reach the hub: allow it, or use a model of a volume (pvc://) or of the image (image://)",
    ),
    _row(r"^[^\n]*No space left on device[^\n]*", "enlarge spec.model.cache, or the node's ephemeral storage"),
    _row(
        r"^[^\n]*Read-only file system: [^\n]*", "the root is read-only: mount an emptyDir there with spec.pod.volumes"
    ),
    _row(
        r"(?:torch\.)?(?:cuda\.)?OutOfMemoryError: [^\n]+|CUDA out of memory\.[^\n]*",
        "lower spec.engine.maxModelLen or --max-num-seqs, raise parallelism.tensor, or use a larger accelerator",
    ),
    _row(
        r"ModuleNotFoundError: No module named '[^'\n]*'",
        "the image's python3 lacks a package: use an image that runs vLLM with it in spec.engine.image",
    ),
    _row(
        r"(?:CUDA driver version is insufficient|no kernel image is available|Failed to infer device type)[^\n]*",
        "the image does not fit the node: check spec.engine.image and spec.accelerator.class",
    ),
)

# The last word of a traceback, with vLLM's "(EngineCore pid=7) ERROR 11-20 10:00:00 [core.py:1] " before it.
_ERROR_LINE = re.compile(
    r"(?:^|\s)((?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception): (?![^\n]*See root cause above)[^\n]+)", re.MULTILINE
)
# A pydantic error tells its cause on the line after the one that names the field.
_PYDANTIC = re.compile(r"^\s*Value error, ([^\n]+?)(?: \[type=[^\n]*)?$", re.MULTILINE)


def find_cause(log: str) -> Cause | None:
    """The likeliest cause of death in an engine's log, redacted and bounded; None when the log names none."""
    log = "\n".join(line[:MAX_LINE] for line in log[-MAX_LOG:].splitlines())
    for pattern, hint in _RANKED:
        if match := pattern.search(log):
            return Cause(_clean(match.group(0)), hint)
    if match := _PYDANTIC.search(log):
        return Cause(_clean(match.group(1)), "")
    errors = _ERROR_LINE.findall(log)
    return Cause(_clean(errors[0]), "") if errors else None


def explain_exit(code: int, kubelet_reason: str) -> str:
    """What an exit code of vLLM means, where the log says nothing (vLLM 0.32)."""
    if kubelet_reason == "OOMKilled":
        return "was killed because it used more memory than its limit (raise spec.pod.resources.limits.memory)"
    return {
        0: "ended by itself (vLLM exits 0 when its engine process dies)",
        1: "stopped with an error",
        2: "refused its arguments",
        137: "was killed (SIGKILL: out of memory on the node, or a liveness probe that failed)",
        143: "was told to stop while it started",
    }.get(code, "stopped")


def _clean(text: str) -> str:
    """One redacted line of bounded length, without what pydantic adds for programmers."""
    one_line = " ".join(redact(text.partition(" [type=")[0]).split())
    return one_line if len(one_line) <= MAX_MESSAGE else one_line[: MAX_MESSAGE - 1] + "…"
