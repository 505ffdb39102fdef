"""The cause of a failed start in lines that vLLM's sources write where no CPU fails that way."""

import pytest

from slmfleet.engine.causes.find import find_cause

ROWS = [
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
]
"""The line, what is in its cause, how its hint begins."""


@pytest.mark.parametrize(("line", "begins", "hint"), ROWS)
def test_the_cause_is_found_in_a_line_of_the_sources(line: str, begins: str, hint: str) -> None:
    engine = "(EngineCore pid=7) ERROR 11-20 10:00:00 [core.py:1510] "
    lines = [engine + part for part in ("Traceback (most recent call last):", *line.splitlines())]
    api = "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    cause = find_cause("\n".join([*lines, api]))
    assert cause is not None
    assert begins in cause.message
    assert cause.hint.startswith(hint)
