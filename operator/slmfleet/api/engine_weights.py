"""`spec.engine`: which form of the weights is loaded."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, EngineWord, cel, rule
from .places import Revision, hub_only, place


class Tokenizer(ApiModel):
    """A tokenizer that does not lie beside the weights."""

    model_config = ConfigDict(json_schema_extra=cel(hub_only("revision", "revision")))

    uri: str = Field(
        max_length=512,
        description="Where the tokenizer is: hf://owner/name, pvc://claim/path (the model's own claim) or "
        "image:///path.",
        json_schema_extra=cel(*place("a tokenizer")),
    )
    revision: Revision | None = Field(None, description="Commit, tag or branch of an hf:// tokenizer.")


class GGUF(ApiModel):
    """Which of the files of a GGUF model is loaded."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.quant) != has(self.file)",
                "takes quant (models of the hub) or file (models of a claim or image), exactly one of them",
                holds=lambda g: (g.quant is None) != (g.file is None),
            )
        )
    )

    quant: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_+-]+$")] | None = Field(
        None, description="Quantization as in the file's name, such as Q4_K_M, of a model of the hub (hf://)."
    )
    file: Annotated[str, Field(min_length=6, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$")] | None = (
        Field(None, description="Name of the file in the model's directory, of a model in a claim or in the image.")
    )


class WeightFields(ApiModel):
    """What the weights are and how they are read."""

    quantization: EngineWord | None = Field(
        None,
        description="How the weights are quantized, in vLLM's words: awq, gptq, fp8, compressed-tensors, "
        "bitsandbytes, gguf, ... Default: as the checkpoint says. Checked against the release.",
    )
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] | None = Field(
        None,
        description="Number format of weights and activations that are not quantized. Default: the checkpoint's, "
        "half on GPUs without bfloat16.",
    )
    load_format: EngineWord | None = Field(
        None,
        description="How the weights are read, in vLLM's words: safetensors, runai_streamer, fastsafetensors, "
        "tensorizer, dummy, ... Default: auto. Checked against the release.",
    )
    gguf: GGUF | None = Field(None, description="Which file of a GGUF model is loaded.")
    tokenizer: Tokenizer | None = Field(
        None,
        description="A tokenizer that does not lie beside the weights; GGUF models should name that of their base "
        "model. Default: the model's.",
    )
    trust_remote_code: bool | None = Field(
        None,
        description="Whether Python code from the model's repository may run in the engine. Default: false. Pin "
        "spec.model.revision with it.",
    )
