"""What the model, the release and the accelerator cannot do together, and what the node lacks."""

from typing import Final

from .cause import Row, rows

ROWS: Final[tuple[Row, ...]] = rows(
    (
        r"Unknown quantization method: (?:gguf|bitsandbytes)[^\n]*",
        "it left vLLM for a plug-in: name an image that has it in spec.engine.image, lower spec.engine.version, or "
        "use an AWQ, GPTQ or FP8 checkpoint",
    ),
    (r"Unknown quantization method: [^\n]+", "choose a spec.engine.quantization that this vLLM release has"),
    (
        r"The quantization method \S+(?: \+ \w+)? is not supported for the current GPU\.[^\n]*",
        "use an accelerator with that compute capability, or a checkpoint in another quantization",
    ),
    (
        r"Quantization scheme is not supported for the current GPU\.[^\n]*",
        "use an accelerator with that compute capability, or a checkpoint in another quantization",
    ),
    (
        r"Quantization method specified in the model config \(\S+\) does not match the quantization method "
        r"specified in the `quantization` argument \(\S+\)",
        "leave out spec.engine.quantization: the checkpoint says what it is",
    ),
    (
        r"Cannot find the config file for \S+",
        "the checkpoint is not quantized that way: leave out spec.engine.quantization",
    ),
    (
        r"(?<!\S)\S+ is not supported for quantization method \S+ Supported dtypes: \[[^\]\n]*\]",
        "set spec.engine.dtype to one of these",
    ),
    (
        r"Bfloat16 is only supported on GPUs with compute capability of at least [\d.]+\.[^\n]*?(?= You can|$)",
        "set spec.engine.dtype to half",
    ),
    (
        r"The input size is not aligned with the quantized weight shape\.[^\n]*",
        "lower spec.parallelism.tensor: its parts are smaller than a group of quantized weights",
    ),
    (
        r"Total number of attention heads \(\d+\) must be divisible by tensor parallel size \(\d+\)",
        "set spec.parallelism.tensor to a divisor of the number of heads",
    ),
    (
        r"AssertionError: \d+ is not divisible by \d+",
        "set spec.parallelism.tensor to a number that divides the model's layers: 1, 2, 4 or 8 in most",
    ),
    (
        r"World size \(\d+\) is larger than the number of available GPUs \(\d+\) in this node",
        "the pod sees fewer GPUs than spec.parallelism.tensor: check the AcceleratorClass's resourceName and the "
        "node's device plug-in",
    ),
    (
        r"--kv-cache-dtype \S+ is not supported by [^\n]+|FP8 KV cache on CPU requires [^\n]+",
        "choose a spec.engine.kvCacheDtype that this platform has, such as auto",
    ),
    (
        r"CPU Offloading is currently only supported on [^'\n]+",
        "leave out spec.engine.kvOffload: this platform has none",
    ),
    (
        r"(?:Selected backend |No valid attention backend found for )[^\n]*kv_cache_dtype not supported[^\n]*",
        "this accelerator cannot hold the KV cache in that format: leave out spec.engine.kvCacheDtype",
    ),
    (
        r"(?:Selected backend [^\n]*? is not valid for this configuration|No valid attention backend found for )[^\n]*",
        "leave out the attention backend in spec.engine.extraArgs and spec.pod.env, or use another accelerator",
    ),
    (
        r"Error while creating shared memory segment /dev/shm/[^\n]+|No space left on device: '/(?:psm_|dev/shm)[^\n]*",
        "/dev/shm is full, which the pod has 2Gi of (8Gi on AMD): lower spec.parallelism.tensor",  # noqa: S108 - a text
    ),
    (
        r"(?:ncclSystemError|ncclInternalError|ncclRemoteError): [^\n]+|NCCL error: [^\n]+"
        r"|DistBackendError: NCCL error[^\n]+",
        "the GPUs of the pod cannot talk to each other: set NCCL_DEBUG to INFO in spec.pod.env to see why",
    ),
    (
        r"(?:CUDA driver version is insufficient|no kernel image is available|Failed to infer device type"
        r"|The NVIDIA driver on your system is too old|libcuda\.so\.1: cannot open shared object file"
        r"|No CUDA GPUs are available|No HIP GPUs are available)[^\n]*",
        "the image does not fit the node: check spec.engine.image and spec.accelerator.class",
    ),
    (
        r"(?:No working C\+\+ compiler found in|Failed to find C compiler\.)[^\n]*",
        "the image has no compiler: set spec.engine.enforceEager, or use an image that has one in spec.engine.image",
    ),
)
