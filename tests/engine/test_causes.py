"""The cause of a failed start: in logs of the real vLLM 0.32 (CPU build, `make failures`), and in lines of sources."""

import re
from pathlib import Path
from typing import Any

import pytest

from slmfleet.api import crds
from slmfleet.engine.causes.exits import explain_exit
from slmfleet.engine.causes.find import MAX_MESSAGE, RANKED, find_cause
from tools.failures.cases import CASES

LOGS = Path(__file__).parent / "logs"


@pytest.mark.parametrize(
    ("log", "begins", "hint"),
    [
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
    ],
)
def test_the_cause_is_found_in_a_real_log(log: str, begins: str, hint: str) -> None:
    cause = find_cause((LOGS / f"{log}.log").read_text())
    assert cause is not None
    assert cause.message.startswith(begins)
    assert cause.hint.startswith(hint)


IN_ORDER = ("engine-died", "stopped")


@pytest.mark.parametrize("log", IN_ORDER)
def test_a_server_that_ends_in_order_names_no_cause(log: str) -> None:
    assert find_cause((LOGS / f"{log}.log").read_text()) is None


def test_every_log_has_its_row() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == {
        *IN_ORDER,
        *(row[0] for row in _rows(test_the_cause_is_found_in_a_real_log)),
    }


def test_every_log_is_of_a_case() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == {case.name for case in CASES}


def _rows(test: Any) -> list[tuple[str, ...]]:
    (mark,) = test.pytestmark
    return list(mark.args[1])


@pytest.mark.parametrize(
    ("line", "begins", "hint"),
    [
        # CUDA: 0.11.0 vllm/config/__init__.py, 0.33.0 vllm/config/vllm.py
        (
            "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. "
            "Current capability: 75.",
            "The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current",
            "use an accelerator with that compute capability",
        ),
        # 0.11.0 and 0.33.0 vllm/config/model.py
        (
            "  Value error, Unknown quantization method: fp6. Must be one of ['awq', 'fp8', 'gptq'].",
            "Unknown quantization method: fp6. Must be one of ['awq', 'fp8', 'gptq'].",
            "choose a spec.engine.quantization that this vLLM release has",
        ),
        # 0.11.0 vllm/config/__init__.py, 0.33.0 vllm/config/vllm.py
        (
            "  Value error, torch.bfloat16 is not supported for quantization method gptq. Supported dtypes: [torch.float16]",
            "torch.bfloat16 is not supported for quantization method gptq. Supported dtypes: [torch.float16]",
            "set spec.engine.dtype to one of these",
        ),
        # 0.33.0 vllm/model_executor/layers/quantization/compressed_tensors/compressed_tensors.py
        (
            "RuntimeError: Quantization scheme is not supported for the current GPU. Min capability: 80. Current "
            "capability: 75.",
            "Quantization scheme is not supported for the current GPU.",
            "use an accelerator with that compute capability",
        ),
        # 0.11.0 and 0.33.0 vllm/platforms/cuda.py
        (
            "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU "
            "has compute capability 7.5. You can use float16 instead by explicitly setting the `dtype` flag in CLI, for "
            "example: --dtype=half.",
            "Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute "
            "capability 7.5.",
            "set spec.engine.dtype to half",
        ),
        # 0.11.0 and 0.33.0 vllm/model_executor/layers/quantization/awq.py, auto_awq.py
        (
            "ValueError: The input size is not aligned with the quantized weight shape. This can be caused by too large "
            "tensor parallel size.",
            "The input size is not aligned with the quantized weight shape.",
            "lower spec.parallelism.tensor",
        ),
        # 0.11.0 and 0.33.0 vllm/distributed/utils.py (divide)
        (
            "AssertionError: 151936 is not divisible by 3",
            "AssertionError: 151936 is not",
            "set spec.parallelism.tensor",
        ),
        # 0.33.0 vllm/config/parallel.py
        (
            "  Value error, World size (2) is larger than the number of available GPUs (1) in this node. If this is "
            "intentional and you are using:",
            "World size (2) is larger than the number of available GPUs (1) in this node",
            "the pod sees fewer GPUs than spec.parallelism.tensor",
        ),
        # 0.11.0 vllm/entrypoints/openai/api_server.py, 0.33.0 vllm/entrypoints/serve/middleware/register.py
        (
            "ValueError: Invalid middleware company_gate.LIMITS. Must be a function or a class.",
            "Invalid middleware company_gate.LIMITS. Must be a function or a class.",
            "correct --middleware in spec.engine.extraArgs",
        ),
        # 0.33.0 vllm/platforms/cuda.py, vllm/v1/attention/backend.py
        (
            "ValueError: No valid attention backend found for cuda with AttentionSelectorConfig(head_size=128, "
            "dtype=torch.bfloat16, kv_cache_dtype=fp8). Reasons: {FLASH_ATTN: [kv_cache_dtype not supported]}.",
            "No valid attention backend found for cuda with",
            "this accelerator cannot hold the KV cache in that format: leave out spec.engine.kvCacheDtype",
        ),
        # 0.16.0 to 0.33.0 vllm/platforms/cuda.py
        (
            "ValueError: Selected backend AttentionBackendEnum.FLASHINFER is not valid for this configuration. Reason: "
            "['compute capability not supported']",
            "Selected backend AttentionBackendEnum.FLASHINFER is not valid for this configuration. Reason: ['compute",
            "leave out the attention backend",
        ),
        # NCCL 2.27's own words, as torch shows them
        (
            "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:94, unhandled system error (run with "
            "NCCL_DEBUG=INFO for details), NCCL version 2.27.3\nncclSystemError: System call (e.g. socket, malloc) or "
            "external library call failed or device error. \nLast error:\nError while creating shared memory segment "
            "/dev/shm/nccl-5Jk0bS (size 33030528), error: No space left on device (28)",
            "Error while creating shared memory segment /dev/shm/nccl-5Jk0bS (size 33030528)",
            "/dev/shm is full",
        ),
        # 0.11.0 and 0.33.0 vllm/distributed/device_communicators/pynccl_wrapper.py
        (
            "RuntimeError: NCCL error: unhandled cuda error (run with NCCL_DEBUG=INFO for details)",
            "NCCL error: unhandled cuda error",
            "the GPUs of the pod cannot talk to each other",
        ),
        # Python's multiprocessing.shared_memory on a full /dev/shm
        (
            "OSError: [Errno 28] No space left on device: '/psm_4a1f'",
            "No space left on device: '/psm_4a1f'",
            "/dev/shm",
        ),
        # torch 2.9, c10/cuda/CUDAFunctions.cpp
        (
            "RuntimeError: The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver",
            "The NVIDIA driver on your system is too old (found version 12020).",
            "the image does not fit the node",
        ),
        # torch 2.13, torch/_inductor/exc.py
        (
            "torch._inductor.exc.InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: "
            "(None, 'g++')",
            "No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')",
            "the image has no compiler: set spec.engine.enforceEager",
        ),
        # triton/runtime/build.py
        (
            "RuntimeError: Failed to find C compiler. Please specify via CC environment variable or set "
            "triton.knobs.build.impl.",
            "Failed to find C compiler.",
            "the image has no compiler: set spec.engine.enforceEager",
        ),
        # 0.33.0 vllm/v1/worker/utils.py
        (
            "ValueError: Free memory on device cuda:0 (8.41/22.03 GiB) on startup is less than desired GPU memory "
            "utilization (0.92, 20.27 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
            "Free memory on device cuda:0 (8.41/22.03 GiB) on startup is less than desired GPU memory utilization (0",
            "something else uses this GPU",
        ),
        # 0.33.0 vllm/v1/worker/gpu_worker.py
        (
            "AssertionError: Error in memory profiling. Initial free memory 10.0 GiB, current free memory 20.0 GiB. This "
            "happens when other processes sharing the same container release GPU memory while vLLM is profiling during "
            "initialization. To fix this, ensure consistent GPU memory allocation",
            "Error in memory profiling. Initial free memory 10.0 GiB, current free memory 20.0 GiB.",
            "something else uses this GPU and ended just now",
        ),
        # 0.11.0 to 0.33.0 vllm/v1/core/kv_cache_utils.py
        (
            "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
            "initializing the engine.",
            "No available memory for the cache blocks",
            "the weights fill the accelerator",
        ),
        # 0.33.0 vllm/v1/executor/multiproc_executor.py
        (
            "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor.",
            "Worker proc VllmWorker-0 died unexpectedly (exit code: -9)",
            "a process of the engine was killed",
        ),
        # torch 2.9, c10/cuda/CUDACachingAllocator.cpp
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 22.03 GiB",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB.",
            "lower spec.engine.maxNumSeqs or spec.engine.maxModelLen",
        ),
        # 0.11.0 and 0.33.0 vllm/model_executor/models/registry.py
        (
            "  Value error, Model architecture MotifForCausalLM was supported in vLLM until v0.10.2, and is not supported "
            "anymore. Please use an older version of vLLM if you want to use this model architecture.",
            "Model architecture MotifForCausalLM was supported in vLLM until v0.10.2, and is not supported anymore",
            "lower spec.engine.version to that release",
        ),
        # 0.11.0 and 0.33.0 vllm/model_executor/models/registry.py
        (
            "  Value error, Model architectures ['MambaForCausalLM'] failed to be inspected. Please check the logs for more "
            "details.",
            "Model architectures ['MambaForCausalLM'] failed to be inspected",
            "a package that the model needs is missing",
        ),
        # 0.11.0 and 0.33.0 vllm/v1/worker/lora_model_runner_mixin.py
        (
            "ValueError: BertModel does not support LoRA yet.",
            "BertModel does not support LoRA yet",
            "leave out spec.engine.lora",
        ),
        # 0.11.0 and 0.33.0 vllm/model_executor/model_loader/default_loader.py
        (
            "ValueError: Following weights were not initialized from checkpoint: {'model.layers.0.self_attn.qkv_proj.bias'}",
            "Following weights were not initialized from checkpoint: {'model.layers.0",
            "the weights do not belong to the config.json",
        ),
        # 0.11.0 and 0.33.0 vllm/lora/peft_helper.py
        (
            "ValueError: vLLM does not yet support DoRA.",
            "vLLM does not yet support DoRA.",
            "vLLM cannot serve an adapter of this kind",
        ),
        # huggingface_hub/errors.py and utils/_http.py
        (
            "huggingface_hub.errors.GatedRepoError: 403 Client Error. (Request ID: Root=1-6)",
            "403 Client Error. (Request ID: Root=1-6)",
            "put a hub token with access to the model into a Secret",
        ),
        (
            "OSError: You are trying to access a gated repo.",
            "You are trying to access a gated repo.",
            "put a hub token with access to the model into a Secret",
        ),
        (
            "huggingface_hub.errors.RevisionNotFoundError: 404 Client Error. (Request ID: Root=1-6)\n\n"
            "Revision Not Found for url: https://huggingface.co/api/models/a/b/revision/v9.",
            "RevisionNotFoundError: 404 Client Error.",
            "correct spec.model.revision",
        ),
        # transformers/utils/hub.py
        (
            "OSError: v9 is not a valid git identifier (branch name, tag name or commit id) that exists for this model name.",
            "OSError: v9 is not a valid git identifier",
            "correct spec.model.revision",
        ),
        (
            "OSError: example/none is not a local folder and is not a valid model identifier listed on 'https://hub'",
            "example/none is not a local folder and is not a valid model identifier",
            "correct spec.model.uri, or name a hub token",
        ),
        (
            "huggingface_hub.errors.HfHubHTTPError: 429 Client Error: Too Many Requests for url: https://huggingface.co/a",
            "429 Client Error: Too Many Requests for url",
            "the hub limits this address",
        ),
        # Python's own words for what the file system or the system says
        (
            "OSError: [Errno 28] No space left on device",
            "OSError: [Errno 28] No space left on device",
            "enlarge spec.model.cache",
        ),
        (
            "OSError: [Errno 30] Read-only file system: '/home/vllm'",
            "OSError: [Errno 30] Read-only file system: '/home/vllm'",
            "the root is read-only",
        ),
        (
            "PermissionError: [Errno 13] Permission denied: '/cache/huggingface/hub'",
            "PermissionError: [Errno 13] Permission denied: '/cache/huggingface/hub'",
            "the engine's user may not touch this",
        ),
        ("KeyError: 'getpwuid(): uid not found: 2000'", "getpwuid(): uid not found: 2000", "the image does not know"),
        (
            "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
            "[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
            "something in the pod has the engine's port",
        ),
        (
            "/usr/bin/python3: Error while finding module specification for 'vllm.entrypoints.openai.api_server' "
            "(ModuleNotFoundError: No module named 'vllm')",
            "ModuleNotFoundError: No module named 'vllm'",
            "the image's python3 lacks a package",
        ),
    ],
)
def test_the_cause_is_found_in_a_line_of_the_sources(line: str, begins: str, hint: str) -> None:
    engine = "(EngineCore pid=7) ERROR 11-20 10:00:00 [core.py:1510] "
    lines = [engine + part for part in ("Traceback (most recent call last):", *line.splitlines())]
    api = "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    cause = find_cause("\n".join([*lines, api]))
    assert cause is not None
    assert begins in cause.message
    assert cause.hint.startswith(hint)


def test_every_row_finds_a_cause_in_a_log_or_a_line() -> None:
    texts = [(LOGS / f"{row[0]}.log").read_text() for row in _rows(test_the_cause_is_found_in_a_real_log)]
    texts += [row[0] for row in _rows(test_the_cause_is_found_in_a_line_of_the_sources)]
    winners = {next(pattern for pattern, _ in RANKED if pattern.search(text)) for text in texts}
    assert [pattern.pattern for pattern, _ in RANKED if pattern not in winners] == []


def test_a_hint_names_fields_that_exist() -> None:
    schemas = [crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds.manifests()]
    named = {path for _, hint in RANKED for path in re.findall(r"\bspec(?:\.\w+)+", hint)}
    assert [path for path in sorted(named) if not any(_has(schema, path.split(".")) for schema in schemas)] == []


def _has(schema: dict[str, Any], path: list[str]) -> bool:
    """Whether a schema has a field; what is below a map of free keys, such as a container's limits, is one."""
    if not path:
        return True
    if below := schema.get("properties", {}).get(path[0]):
        return _has(below, path[1:])
    return "additionalProperties" in schema


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("", None),
        ("INFO 11-20 10:00:00 [core.py:1] all is well\n", None),
        (
            "(EngineCore pid=7) ERROR 11-20 [core.py:1] KeyError: 'layers.0.bias'\n"
            "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"
            "/usr/lib/python3.11/resource_tracker.py:254: UserWarning: There appear to be 1 leaked semaphore objects\n",
            "KeyError: 'layers.0.bias'",
        ),
        ("WARNING This can cause fd limit errors like `OSError: [Errno 24] Too many open files`.\n", None),
        (
            "pydantic_core.ValidationError: 1 validation error for X\n  Value error, tokens [type=value_error]\n",
            "tokens",
        ),
        (
            "/usr/bin/python3: Error while finding module specification for 'vllm.entrypoints.openai.api_server' "
            "(ModuleNotFoundError: No module named 'vllm')\n",
            "ModuleNotFoundError: No module named 'vllm'",
        ),
        (
            "(APIServer pid=1) pydantic_core._pydantic_core.ValidationError: 1 validation error for CacheConfig\n"
            "(APIServer pid=1) block_size\n"
            "(APIServer pid=1)   Input should be a valid integer [type=int_type, input_value='x', input_type=str]\n",
            "block_size: Input should be a valid integer",
        ),
        ("RuntimeError: bad token hf_abcdefghijklmnop\n", "RuntimeError: bad token [redacted]"),
    ],
)
def test_the_first_error_that_says_more_than_see_above_is_the_cause(log: str, message: str | None) -> None:
    cause = find_cause(log)
    assert (cause.message if cause else None) == message


def test_a_cause_is_one_line_of_bounded_length() -> None:
    cause = find_cause("ValueError: " + "x" * 5000)
    assert cause is not None
    assert len(cause.message) == MAX_MESSAGE


def test_an_exit_code_without_a_log_is_still_explained() -> None:
    assert explain_exit(137, "OOMKilled").startswith("was killed because it used more memory")
    assert explain_exit(99, "Error") == "stopped"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (0, "ended by itself"),
        (1, "stopped with an error"),
        (2, "refused its arguments"),
        (130, "was told to stop while it started"),
        (132, "used an instruction that this CPU lacks"),
        (134, "aborted in compiled code"),
        (135, "ran out of shared memory"),
        (137, "was killed (SIGKILL: "),
        (139, "crashed in compiled code"),
        (143, "was told to stop while it started"),
    ],
)
def test_an_exit_code_means_the_same_in_every_release(code: int, meaning: str) -> None:
    assert explain_exit(code, "Error").startswith(meaning)
