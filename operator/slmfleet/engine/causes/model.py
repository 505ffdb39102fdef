"""Models that cannot be had, cannot be read, or that vLLM does not know; and their adapters."""

from typing import Final

from .cause import Row, rows

_PIN: Final = "download it again: spec.model.uri, spec.model.revision, or what the volume holds"

ROWS: Final[tuple[Row, ...]] = rows(
    (
        r"LoRA rank \d+ is greater than max_lora_rank \d+",
        "raise spec.engine.lora.maxRank to the adapter's rank",
    ),
    (
        r"Loading lora \S+ failed: No adapter found for \S+",
        "there is no adapter_config.json at the path: correct --lora-modules in spec.engine.extraArgs",
    ),
    (
        r"vLLM (?:only supports modules_to_save|does not (?:yet )?support (?:DoRA|LoRA bias|init_lora_weights"
        r"|Activated LoRA|layer_replication|block-diagonal LoRA|QALoRA))[^\n]*",
        "vLLM cannot serve an adapter of this kind: train a plain LoRA adapter",
    ),
    (
        r"(?<!\S)\S+ does not support LoRA yet",
        "leave out spec.engine.lora: this architecture takes no adapters in this release",
    ),
    (
        r"(?:You are trying to access a gated repo|Access to model [^\n]+ is restricted|401 Client Error"
        r"|403 Client Error)[^\n]*",
        "put a hub token with access to the model into a Secret and name it in spec.model.secretRef",
    ),
    (
        r"(?:Revision Not Found|RevisionNotFoundError|^[^\n]* is not a valid git identifier)[^\n]*",
        "correct spec.model.revision",
    ),
    (
        r"(?:RepositoryNotFoundError|Repository Not Found"
        r"|(?<!\S)\S+ is not a local folder and is not a valid model identifier)"
        r"[^\n]*",
        "correct spec.model.uri, or name a hub token in spec.model.secretRef if the model is private",
    ),
    (
        r"(?:429 Client Error: )?Too Many Requests[^\n]*",
        "the hub limits this address: name a token in spec.model.secretRef, and keep the weights with spec.model.cache",
    ),
    (
        r"(?:Incorrect path_or_model_id|Repo id must be in the form|Invalid repository ID or local directory)[^\n]*",
        "there is no model at the path: check spec.model.uri and what the volume or the image holds",
    ),
    (
        r"(?:We couldn't connect to '|Cannot find an appropriate cached snapshot folder)[^\n]*?(?=\. To enable|$)",
        "the pod cannot reach the hub: allow it, or use a model of a volume (pvc://) or of the image (image://)",
    ),
    (
        r"It looks like the config file at '[^'\n]*' is not a valid JSON file",
        f"config.json is broken: {_PIN}",
    ),
    (
        r"The repository \S+ contains custom code which must be executed to correctly load the model"
        r"|Failed to load the model config\. If the model is a custom model not yet available in the HuggingFace "
        r"transformers library|Loading this model requires you to execute custom code",
        "set spec.engine.trustRemoteCode, and pin spec.model.revision: the code runs in the engine",
    ),
    (
        r"The checkpoint you are trying to load has model type `[^`\n]*` but Transformers does not recognize this "
        r"architecture",
        "this release does not know the model: raise spec.engine.version, or set spec.engine.trustRemoteCode where the "
        "repository brings its code",
    ),
    (
        r"Model architecture \S+ was supported in vLLM until v[\d.]+, and is not supported anymore",
        "lower spec.engine.version to that release",
    ),
    (
        r"Model architectures \[[^\]\n]*\] are not supported for now",
        "this release does not know the model: raise spec.engine.version, or choose another model",
    ),
    (
        r"Model architectures \[[^\]\n]*\] failed to be inspected",
        "a package that the model needs is missing in the image: see the error above it in the pod's log",
    ),
    (
        r"(?:This model does|Embedding models do) not support `--runner \w+`",
        "change spec.engine.task to what the model is made for",
    ),
    (
        r"Cannot find any model weights with `[^`\n]*`",
        "the folder has a config.json and no weights: check spec.model.uri, or set spec.engine.loadFormat to the form "
        "that they have",
    ),
    (
        r"(?:SafetensorError: |safetensors_rust\.SafetensorError: )?Error while deserializing (?:the )?header: [^\n]+",
        f"a file of the weights is incomplete, or the pointer of a large file instead of it: {_PIN}",
    ),
    (
        r"(?:Couldn't instantiate the backend tokenizer|Can't load tokenizer for '[^'\n]*')[^\n]*",
        "the model has no tokenizer: name one in spec.engine.tokenizer",
    ),
    (
        r"start \(\d+\) \+ length \(\d+\) exceeds dimension size \(\d+\)"
        r"|assert (?:loaded_weight|param_data|param)\.(?:shape|size)\b[^\n]+",
        "the weights have another shape than the config.json beside them says: check spec.model.uri and "
        "spec.model.revision",
    ),
    (
        r"Following weights were not initialized from checkpoint: [^\n]+",
        "the weights do not belong to the config.json beside them, or to this quantization: check spec.model.uri and "
        "spec.engine.quantization",
    ),
)
