"""The cause of a failed start in logs of the real vLLM 0.32 (CPU build, `make failures`)."""

from pathlib import Path

import pytest

from slmfleet.engine.causes.find import find_cause
from tools.failures.cases import CASES

LOGS = Path(__file__).parent / "logs"
ROWS = [
    (
        "max-model-len",
        "User-specified max_model_len (4096) is greater than the derived max_model_len (max_position_embeddings=2048",
        "lower spec.engine.maxModelLen",
    ),
    (
        "kv-cache",
        "To serve at least one request with the model's max seq len (2097152), (1.0 GiB KV cache is needed, which is larger",
        "lower spec.engine.maxModelLen, raise spec.engine.gpuMemoryUtilizationPercent",
    ),
    (
        "cpu-memory",
        "Available memory on node 0 (14.2/19.84 GiB) on kv cache allocation is less than requested memory for kv (100.0 GiB)",
        "raise spec.pod.resources.limits.memory",
    ),
    ("unknown-flag", "error: unrecognized arguments: --swap-space", "this vLLM release has no such flag"),
    ("bad-choice", "error: argument --dtype: invalid choice: 'half8' (choose from 'auto', ", "correct the value"),
    ("ambiguous", "error: ambiguous option: --device could match --device-ids, ", "write the flag out"),
    ("quantization", "Unknown quantization method: gguf. Must be one of ['awq', ", "it left vLLM for a plug-in"),
    ("load-format", "Load format `s3` is not supported", "correct spec.engine.loadFormat"),
    ("tensor", "Total number of attention heads (4) must be divisible by tensor parallel size (3)", "set spec.par"),
    (
        "no-such-path",
        "Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/none'",
        "there is no",
    ),
    (
        "hub",
        "Cannot find an appropriate cached snapshot folder for the specified revision on the local disk",
        "the pod",
    ),
    ("tool-parser", "invalid tool call parser: hermez (chose from { ", "correct spec.engine.toolCallParser"),
    (
        "tool-parser-missing",
        "--enable-auto-tool-choice requires --tool-call-parser",
        "name the parser in spec.engine.toolCallParser",
    ),
    (
        "reasoning-parser",
        "Reasoning parser 'deepseek' not found. Available parsers: cohere_command3, ",
        "correct spec.engine.reasoningParser",
    ),
    (
        "chat-template",
        "The supplied chat template string (/templates/chat.jinja) appears path-like, but doesn't exist!",
        "put the template into a ConfigMap",
    ),
    (
        "middleware",
        "ModuleNotFoundError: No module named 'company_gate'",
        "the image's python3 lacks a package",
    ),
    (
        "kv-dtype",
        "FP8 KV cache on CPU requires x86 with AVX-512 or AMX.",
        "choose a spec.engine.kvCacheDtype that this platform has",
    ),
    (
        "quantization-mismatch",
        "Quantization method specified in the model config (awq) does not match the quantization method specified "
        "in the `quantization` argument (gptq)",
        "leave out spec.engine.quantization",
    ),
    ("quantization-config", "Cannot find the config file for awq", "the checkpoint is not quantized that way"),
    (
        "architecture",
        "Model architectures ['NopeForCausalLM'] are not supported for now",
        "this release does not know the model: raise spec.engine.version",
    ),
    (
        "model-type",
        "The checkpoint you are trying to load has model type `nope` but Transformers does not recognize this",
        "this release does not know the model: raise spec.engine.version",
    ),
    (
        "remote-code",
        "The repository /models/tiny contains custom code which must be executed to correctly load the model",
        "set spec.engine.trustRemoteCode, and pin spec.model.revision",
    ),
    (
        "task",
        "Embedding models do not support `--runner generate`",
        "change spec.engine.task to what the model is made for",
    ),
    ("service-links", "VLLM_PORT 'tcp://10.96.12.3:80' appears to be a URI", "a Service named vllm sets this"),
    (
        "batch-limits",
        "max_num_batched_tokens (8) must be greater than or equal to max_num_seqs (16)",
        "raise spec.engine.maxNumBatchedTokens, or lower spec.engine.maxNumSeqs",
    ),
    (
        "batch-length",
        "max_num_batched_tokens (512) is smaller than max_model_len (2048)",
        "raise spec.engine.maxNumBatchedTokens, lower spec.engine.maxModelLen",
    ),
    ("sleep-mode", "Sleep mode is not supported on current platform", "leave out spec.engine.sleepMode"),
    ("speculative-method", "Input should be 'ngram', 'medusa', ", "choose a spec.engine.speculative.method"),
    (
        "speculative-model",
        "num_speculative_tokens was provided but without speculative model",
        "name spec.engine.speculative.model",
    ),
    (
        "lora-rank-choice",
        "error: argument --max-lora-rank: invalid choice: 12 (choose from 1, 8, 16, 32, 64, 128, 256, 320, 512)",
        "choose a spec.engine.lora.maxRank",
    ),
    (
        "kv-offload",
        "CPU Offloading is currently only supported on CUDA-alike and XPU GPUs",
        "leave out spec.engine.kv",
    ),
    ("tokenizer", "Couldn't instantiate the backend tokenizer from one of:", "the model has no tokenizer"),
    (
        "speculative-vocabulary",
        "Target and draft model should have the same vocabulary size. Target model vocab_size=261. Draft model "
        "vocab_size=300.",
        "choose a draft model of the same family",
    ),
    (
        "no-weights",
        "Cannot find any model weights with `/models/tiny`",
        "the folder has a config.json and no weights",
    ),
    (
        "weights-cut",
        "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully",
        "a file of the weights is incomplete",
    ),
    (
        "weights-lfs",
        "safetensors_rust.SafetensorError: Error while deserializing header: header too large",
        "a file of the weights is incomplete",
    ),
    ("weights-shape", "start (0) + length (512) exceeds dimension size (256)", "the weights have another shape"),
    (
        "weights-vocabulary",
        "assert loaded_weight.shape[output_dim] == self.org_vocab_size",
        "the weights have another shape",
    ),
    ("lora-rank", "LoRA rank 16 is greater than max_lora_rank 8", "raise spec.engine.lora.maxRank"),
    (
        "lora-missing",
        "Loading lora a failed: No adapter found for /models/tiny/adapter",
        "there is no adapter_config.json at the path",
    ),
    ("killed", "Failed core proc(s): {'EngineCore': -9}", "a process of the engine was killed"),
    ("lora-bias", "vLLM does not support LoRA bias (lora_bias).", "vLLM cannot serve an adapter of this kind"),
    ("config-json", "It looks like the config file at '{resolved_config_file}' is not a valid", "config.json is"),
]
"""The log, how its cause begins, how its hint begins."""
IN_ORDER = ("engine-died", "stopped")


@pytest.mark.parametrize(("log", "begins", "hint"), ROWS, ids=[row[0] for row in ROWS])
def test_the_cause_is_found_in_a_real_log(log: str, begins: str, hint: str) -> None:
    cause = find_cause((LOGS / f"{log}.log").read_text())
    assert cause is not None
    assert cause.message.startswith(begins)
    assert cause.hint.startswith(hint)


@pytest.mark.parametrize("log", IN_ORDER)
def test_a_server_that_ends_in_order_names_no_cause(log: str) -> None:
    assert find_cause((LOGS / f"{log}.log").read_text()) is None


def test_every_log_has_its_row() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == {*IN_ORDER, *(row[0] for row in ROWS)}


def test_every_log_is_of_a_case() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == {case.name for case in CASES}
