"""LoRA adapters as vLLM 0.32 loads them at run time: its registry of names, its cache of weights, its refusals.

What an adapter answers depends on its weights: the first token of its answers is `weights_name()` of them.
"""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .openai import ApiError, Body, required

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"

_UNSUPPORTED: Final = {
    # key of adapter_config.json: vLLM's words (vllm/lora/peft_helper.py)
    "use_dora": "vLLM does not yet support DoRA.",
    "lora_bias": "vLLM does not support LoRA bias (lora_bias).",
    "modules_to_save": (
        'vLLM only supports modules_to_save being either None or ["classifier", "score"] for classification models. '
        "Unsupported modules_to_save: {value}"
    ),
}


@dataclass(frozen=True)
class Limits:
    """What --max-lora-rank and --max-cpu-loras (else --max-loras) allow."""

    rank: int
    cached: int
    load_seconds: float


def weights_name(folder: Path) -> str:
    """What answers of the adapter in `folder` begin with. Raises OSError."""
    return f"lora-{hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:12]}"


class Adapters:
    """The adapters of one server."""

    def __init__(
        self,
        base: tuple[str, ...],
        limits: Limits | None,
        die: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`base`: the served names; `limits`: None without --enable-lora; `die` ends the engine."""
        self._base = base
        self._limits = limits
        self._die = die
        self._sleep = sleep
        self.paths: dict[str, str] = {}
        """By name, as /v1/models lists them."""
        self._cache: OrderedDict[str, str] = OrderedDict()
        """Weights by path; what was used longest ago goes first, and unloading a name leaves them there."""
        self._engine = asyncio.Lock()

    async def load(self, body: Body) -> str:
        """POST /v1/load_lora_adapter: the text of its answer. Raises ApiError."""
        name, path = str(required(body, "lora_name")), str(required(body, "lora_path"))
        if name in self._base:
            raise ApiError(400, f"The lora adapter '{name}' conflicts with a served base model.", "InvalidUserInput")
        self._check_free(name)
        if self._limits is None:
            raise _worker("LoRA is not enabled. Use --enable-lora to enable LoRA.")
        async with self._engine:
            self._check_free(name)
            await self._sleep(self._limits.load_seconds)
            self._remember(path, _read(name, Path(path), self._limits.rank), self._limits.cached)
            self.paths[name] = path
        return f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, body: Body) -> str:
        """POST /v1/unload_lora_adapter: the text of its answer. Raises ApiError."""
        name = str(required(body, "lora_name"))
        if name not in self.paths:
            raise ApiError(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
        del self.paths[name]
        return f"Success: LoRA adapter '{name}' removed successfully."

    async def weights(self, name: str) -> str | None:
        """The weights that answer for an adapter; None where the engine died for their files, gone after eviction."""
        path = self.paths[name]
        assert self._limits is not None
        if path not in self._cache:
            async with self._engine:
                try:
                    found = _read(name, Path(path), self._limits.rank)
                except ApiError:
                    self._die()
                    return None
                await self._sleep(self._limits.load_seconds)
                self._remember(path, found, self._limits.cached)
        self._cache.move_to_end(path)
        return self._cache[path]

    def _check_free(self, name: str) -> None:
        if name in self.paths:
            raise ApiError(
                400,
                f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, set "
                "'load_inplace' to True.",
                "InvalidUserInput",
            )

    def _remember(self, path: str, weights: str, most: int) -> None:
        self._cache[path] = weights
        self._cache.move_to_end(path)
        while len(self._cache) > most:
            self._cache.popitem(last=False)


def _read(name: str, folder: Path, max_rank: int) -> str:
    """The weights in a folder. Raises ApiError as vLLM refuses them."""
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"Loading lora {name} failed: No adapter found for {folder}"
        raise ApiError(404, message, "NotFoundError") from error
    if config["r"] > max_rank:
        raise _worker(f"LoRA rank {config['r']} is greater than max_lora_rank {max_rank}.")
    for key, words in _UNSUPPORTED.items():
        if config.get(key):
            raise _worker(words.format(value=config[key]))
    try:
        return weights_name(folder)
    except OSError as error:
        raise _worker(f"{folder} doesn't contain tensors") from error


def _worker(message: str) -> ApiError:
    text = f"Call to add_lora method failed: Worker failed with error '{message}', please check the stack trace above"
    return ApiError(500, text + " for the root cause", "InternalServerError")
