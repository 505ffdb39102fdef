"""What a failing vLLM leaves in its log: the lines around a cause, as captured from 0.32.0 (frames left out).

The cause is not the last line: a pydantic address, "Engine core initialization failed" or a resource tracker's warning
follows it, which is what whoever reads a crashed pod's log has to cope with.
"""

from collections.abc import Sequence
from typing import Final

from .config import ConfigError

_API: Final = "vllm/entrypoints/launchers/api_server/entry.py"
_CORE: Final = "vllm/v1/engine/core.py"

CRASHES: Final = {
    "gpu-memory-taken": (
        "ValueError: Free memory on device cuda:0 (8.41/22.03 GiB) on startup is less than desired GPU memory "
        "utilization (0.92, 20.27 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."
    ),
    "no-kv-memory": (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
        "initializing the engine."
    ),
    "cuda-out-of-memory": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 22.03 "
        "GiB of which 1.12 GiB is free."
    ),
    "cpu-memory": (
        "ValueError: Available memory on node 0 (0.89/4.0 GiB) on kv cache allocation is less than requested memory "
        "for kv (1.0 GiB)."
    ),
    "gated-model": (
        "OSError: You are trying to access a gated repo.\nMake sure to have access to it at "
        "https://huggingface.co/example/gated-model.\n401 Client Error."
    ),
    "disk-full": "OSError: [Errno 28] No space left on device",
}
"""Causes by name for the `crash` fault; the wording of the vLLM, torch and hub releases of late 2026."""

ENGINE_DEAD: Final = "EngineCore encountered an issue. See stack trace (above) for the root cause."


def config_failure(error: ConfigError, pid: int) -> str:
    """The log's end for a refused configuration."""
    if error.where == "engine core":
        return engine_core_failure(f"ValueError: {error}", pid)
    if error.where in {"environment", "arguments"}:
        kind = "TypeError" if error.where == "arguments" else "ValueError"
        return _traceback(pid, _API, "build_async_engine_client", [f"{kind}: {error}"])
    cause = [
        f"pydantic_core._pydantic_core.ValidationError: 1 validation error for {error.where}",
        f"  Value error, {error}",
        "    For further information visit https://errors.pydantic.dev/2.14/v/value_error",
    ]
    return _traceback(pid, _API, "build_async_engine_client", cause)


def engine_core_failure(cause: str, pid: int) -> str:
    """The log's end for an engine that failed while it started: the cause, then what hides it."""
    prefix = f"(EngineCore pid={pid}) ERROR "
    logged = ["EngineCore failed to start.", "Traceback (most recent call last):", *cause.splitlines()]
    lines = [f"{prefix}01-01 00:00:00 [core.py:1510] {line}" for line in logged]
    lines += ["Process EngineCore:", *_traceback(pid, _CORE, "run_engine_core", cause.splitlines()).splitlines()]
    last = [
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}"
    ]
    lines += _traceback(pid, _API, "build_async_engine_client", last).splitlines()
    lines += [
        "/usr/lib/python3.12/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to "
        "be 1 leaked shared_memory objects to clean up at shutdown",
        "  warnings.warn('resource_tracker: There appear to be %d '",
    ]
    return "\n".join(lines) + "\n"


def engine_death(pid: int) -> str:
    """What the log says when the engine process dies under a running server."""
    core = f"(EngineCore pid={pid}) ERROR 01-01 00:00:00 [core.py:1510] "
    api = f"(APIServer pid={pid}) ERROR 01-01 00:00:00 [async_llm.py:884] "
    return (
        f"{core}EngineCore encountered a fatal error.\n{core}Traceback (most recent call last):\n"
        f"{core}RuntimeError: simulated engine death\n"
        f"{api}AsyncLLM output_handler failed.\n{api}vllm.v1.engine.exceptions.EngineDeadError: {ENGINE_DEAD}\n"
    )


def _traceback(pid: int, file: str, function: str, last: Sequence[str]) -> str:
    lines = ["Traceback (most recent call last):", f'  File "{file}", line 1, in {function}', *last]
    return "".join(f"(APIServer pid={pid}) {line}\n" if file == _API else f"{line}\n" for line in lines)
