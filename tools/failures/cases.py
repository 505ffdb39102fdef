"""Ways to keep the real vLLM from starting, on a CPU and with a tiny model."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any, Final


@dataclass(frozen=True)
class Kill:
    """A signal to a process of vLLM: EngineCore, or APIServer, which is the container's own."""

    process: str
    signal: Signals


@dataclass(frozen=True)
class Case:
    """A start that fails."""

    name: str
    args: tuple[str, ...] = ()
    """Besides --model; {model} stands for the model's folder."""
    environment: Mapping[str, str] = field(default_factory=dict)
    spoil: Callable[[Path], None] = lambda _: None
    """Done to a copy of the model before."""
    model: str = "{model}"
    at: str = ""
    """A line of the log at which a process is killed, if one is."""
    kill: Kill | None = None
    code: int = 1
    """What vLLM exits with."""


def config(**changes: Any) -> Callable[[Path], None]:  # noqa: ANN401 - JSON
    """Other values in the model's config.json."""

    def spoil(model: Path) -> None:
        file = model / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return spoil


def without(*names: str) -> Callable[[Path], None]:
    """The model without some of its files."""

    def spoil(model: Path) -> None:
        for name in names:
            (model / name).unlink()

    return spoil


def overwritten(name: str, content: bytes) -> Callable[[Path], None]:
    """A file of the model with another content."""

    def spoil(model: Path) -> None:
        (model / name).write_bytes(content)

    return spoil


def cut(model: Path) -> None:
    """Weights of which the download broke off."""
    file = model / "model.safetensors"
    os.truncate(file, file.stat().st_size // 2)


def adapter(**changes: Any) -> Callable[[Path], None]:  # noqa: ANN401 - JSON
    """An adapter beside the model, without weights: its configuration is looked at first."""
    plain = {
        "peft_type": "LORA",
        "r": 8,
        "lora_alpha": 16,
        "target_modules": ["q_proj"],
        "base_model_name_or_path": "x",
    }

    def spoil(model: Path) -> None:
        folder = model / "adapter"
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps(plain | changes))

    return spoil


def draft(model: Path) -> None:
    """A draft model with another vocabulary."""
    draft = model / "draft"
    draft.mkdir()
    for file in model.iterdir():
        if file.is_file():
            (draft / file.name).write_bytes(file.read_bytes())
    config(vocab_size=300)(draft)


STARTED: Final = "Application startup complete"
LFS: Final = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234\n"
ADAPTER: Final = ("--enforce-eager", "--enable-lora", "--max-lora-rank", "8", "--lora-modules", "a={model}/adapter")

CASES: Final = (
    Case("max-model-len", ("--max-model-len", "4096")),
    Case("kv-cache", ("--max-model-len", "2097152"), {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}),
    Case("cpu-memory", environment={"VLLM_CPU_KVCACHE_SPACE": "100"}),
    Case("unknown-flag", ("--swap-space", "4"), code=2),
    Case("bad-choice", ("--dtype", "half8"), code=2),
    Case("ambiguous", ("--device", "cpu"), code=2),
    Case("quantization", ("--quantization", "gguf")),
    Case("load-format", ("--load-format", "s3")),
    Case("tensor", ("--tensor-parallel-size", "3")),
    Case("no-such-path", model="/models/none"),
    Case("hub", model="example/none"),
    Case("tool-parser", ("--enable-auto-tool-choice", "--tool-call-parser", "hermez")),
    Case("tool-parser-missing", ("--enable-auto-tool-choice",)),
    Case("reasoning-parser", ("--reasoning-parser", "deepseek")),
    Case("chat-template", ("--chat-template", "/templates/chat.jinja")),
    Case("middleware", ("--middleware", "company_gate.Middleware")),
    Case("kv-dtype", ("--kv-cache-dtype", "nvfp4")),
    Case(
        "quantization-mismatch",
        ("--quantization", "gptq"),
        spoil=config(quantization_config={"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}),
    ),
    Case("quantization-config", ("--quantization", "awq")),
    Case("architecture", spoil=config(architectures=["NopeForCausalLM"])),
    Case("model-type", spoil=config(model_type="nope", architectures=["NopeForCausalLM"])),
    Case(
        "remote-code",
        spoil=config(
            model_type="nope",
            architectures=["NopeForCausalLM"],
            auto_map={"AutoConfig": "configuration_nope.NopeConfig", "AutoModelForCausalLM": "modeling_nope.Nope"},
        ),
    ),
    Case("task", ("--runner", "generate"), spoil=config(model_type="bert", architectures=["BertModel"])),
    Case("config-json", spoil=overwritten("config.json", b'{"architectures": [')),
    Case("tokenizer", spoil=without("tokenizer.json", "tokenizer_config.json")),
    Case("no-weights", spoil=without("model.safetensors")),
    Case("weights-cut", spoil=cut),
    Case("weights-lfs", spoil=overwritten("model.safetensors", LFS)),
    Case("weights-shape", spoil=config(intermediate_size=512)),
    Case("weights-vocabulary", spoil=config(vocab_size=300)),
    Case("batch-limits", ("--max-num-batched-tokens", "8", "--max-num-seqs", "16")),
    Case("batch-length", ("--max-num-batched-tokens", "512", "--no-enable-chunked-prefill")),
    Case("speculative-method", ("--speculative-config", '{"method": "nope", "num_speculative_tokens": 3}')),
    Case("speculative-model", ("--speculative-config", '{"num_speculative_tokens": 3}')),
    Case(
        "speculative-vocabulary",
        (
            "--speculative-config",
            '{"method": "draft_model", "model": "{model}/draft", "num_speculative_tokens": 3}',
        ),
        spoil=draft,
    ),
    Case("lora-rank-choice", ("--enable-lora", "--max-lora-rank", "12"), code=2),
    Case("lora-rank", ADAPTER, spoil=adapter(r=16)),
    Case("lora-missing", ADAPTER),
    Case("lora-bias", ADAPTER, spoil=adapter(lora_bias=True)),
    Case("sleep-mode", ("--enable-sleep-mode",)),
    Case("kv-offload", ("--kv-offloading-size", "1", "--kv-offloading-backend", "native")),
    Case("service-links", environment={"VLLM_PORT": "tcp://10.96.12.3:80"}),
    Case("killed", at="Starting to load model", kill=Kill("EngineCore", Signals.SIGKILL)),
    Case("engine-died", ("--enforce-eager",), at=STARTED, kill=Kill("EngineCore", Signals.SIGKILL), code=0),
    Case("stopped", ("--enforce-eager",), at=STARTED, kill=Kill("APIServer", Signals.SIGTERM), code=0),
)
