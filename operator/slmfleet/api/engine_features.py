"""`spec.engine`: what the engine can do beyond generating text from one set of weights."""

from typing import Final, Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, EngineWord, ObjectName, cel, rule
from .places import Revision, hub_only, place
from .pod import KeyRef

PROMPT_METHODS: Final = ("ngram", "ngram_gpu", "suffix")
"""Methods that guess from the text so far and need no model (vLLM, config/speculative.py)."""


class Speculative(ApiModel):
    """Guessing several tokens ahead, which the model then checks in one step: the same answers, sooner."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.method) || has(self.model)",
                "takes method (ngram, mtp, eagle3, ...), model, or both",
                holds=lambda s: s.method is not None or s.model is not None,
            ),
            rule(
                f"!has(self.method) || !(self.method in {list(PROMPT_METHODS)}) || !has(self.model)",
                "this method guesses from the prompt and takes no model: remove it",
                holds=lambda s: s.method not in PROMPT_METHODS or s.model is None,
                field=".model",
                forbidden=True,
            ),
            rule(
                "!(has(self.promptLookupMin) || has(self.promptLookupMax))"
                " || (has(self.method) && self.method in ['ngram', 'ngram_gpu'])",
                "promptLookupMin and promptLookupMax belong to the methods ngram and ngram_gpu: remove them",
                holds=lambda s: (
                    (s.prompt_lookup_min, s.prompt_lookup_max) == (None, None) or s.method in ("ngram", "ngram_gpu")
                ),
            ),
            rule(
                "!has(self.promptLookupMin) || !has(self.promptLookupMax)"
                " || self.promptLookupMin <= self.promptLookupMax",
                "is more than promptLookupMax: lower it",
                holds=lambda s: (
                    None in (s.prompt_lookup_min, s.prompt_lookup_max) or s.prompt_lookup_min <= s.prompt_lookup_max
                ),
                field=".promptLookupMin",
            ),
            hub_only("revision", "revision", uri="model"),
            hub_only("secretRef", "secret_ref", uri="model"),
        )
    )

    method: EngineWord | None = Field(
        None,
        description="How tokens are guessed, in vLLM's words: ngram (from the prompt), mtp (the model's own heads), "
        "eagle, eagle3, draft_model, ... Default: what the model below is. Checked against the release.",
    )
    model: str | None = Field(
        None,
        max_length=512,
        description="Where the draft model or the EAGLE head is: hf://owner/name, pvc://claim/path (the model's own "
        "claim) or image:///path. It takes GPU memory beside the model.",
        json_schema_extra=cel(*place("a model")),
    )
    revision: Revision | None = Field(None, description="Commit, tag or branch of an hf:// draft model.")
    secret_ref: KeyRef | None = Field(
        None,
        description="Secret key with the hub token of a gated draft model. An engine has one token: where the model "
        "has one too it must be the same.",
    )
    tokens: int = Field(ge=1, le=64, description="Tokens that are guessed ahead in each step, such as 3 to 5.")
    tensor: int | None = Field(
        None,
        ge=1,
        le=64,
        description="GPUs that share the draft model: 1 or spec.parallelism.tensor. Default: as the model.",
    )
    quantization: EngineWord | None = Field(
        None, description="How the draft model's weights are quantized. Default: as its checkpoint says."
    )
    prompt_lookup_min: int | None = Field(
        None, ge=1, le=1024, description="ngram: shortest run of tokens that is looked for in the prompt. Default 5."
    )
    prompt_lookup_max: int | None = Field(
        None, ge=1, le=1024, description="ngram: longest run of tokens that is looked for in the prompt. Default 5."
    )


class LoRA(ApiModel):
    """Room for LoRA adapters beside the model. Left out, it follows from the adapters whenever the pods change."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.maxCpuAdapters) || (has(self.maxAdapters) ? self.maxAdapters : 1) <= self.maxCpuAdapters",
                "adapters in GPU memory are kept in host memory too: raise it to maxAdapters",
                holds=lambda lo: lo.max_cpu_adapters is None or (lo.max_adapters or 1) <= lo.max_cpu_adapters,
                field=".maxCpuAdapters",
            )
        )
    )

    max_adapters: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Adapters that are computed together in a step; their slots take GPU memory. Left out: up to 8.",
    )
    max_rank: int | None = Field(
        None,
        ge=1,
        le=512,
        description="Largest rank of an adapter: 8, 16, 32, 64, 128, 256, 320 or 512; 1 since 0.11.1. Left out: "
        "16 to 64.",
    )
    max_cpu_adapters: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Adapters that are kept in host memory. Set it to the number of adapters and one more, for a "
        "version that is loaded beside the one before. Left out: up to 65.",
    )
    claim_name: ObjectName | None = Field(
        None,
        description="PersistentVolumeClaim whose folder `adapters` the engines read adapters from. Default: the claim "
        "of model.cache.",
    )


class FeatureFields(ApiModel):
    """Tasks, guessing, adapters, sleep."""

    task: Literal["Generate", "Embed", "Classify", "Score", "Reward"] | None = Field(
        None,
        description="What the model is for. Generate: text. Embed, Classify, Score, Reward: vectors, labels, "
        "similarity or ranking, rewards. Default: what the checkpoint says.",
    )
    speculative: Speculative | None = Field(
        None, description="Guessing several tokens ahead, which the model then checks in one step."
    )
    lora: LoRA | None = Field(None, description="Room for LoRA adapters; {} takes the engine's defaults.")
    sleep_mode: bool | None = Field(
        None,
        description="Whether the engine can give its GPU memory back and take it again. It opens administrative "
        "routes (VLLM_SERVER_DEV_MODE), needs host memory for the weights, and CUDA or ROCm. Default: false.",
    )
