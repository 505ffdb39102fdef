"""`spec.engine`: how answers look and who may ask."""

from pydantic import Field

from .base import ApiModel, EngineWord
from .pod import KeyRef


class ChatTemplate(ApiModel):
    """A Jinja template that makes a prompt of a conversation."""

    config_map_ref: KeyRef = Field(
        description="ConfigMap key with the template. It is mounted as a file and read when the engine starts."
    )


class ServingFields(ApiModel):
    """What the server does besides computing."""

    tool_call_parser: EngineWord | None = Field(
        None,
        description="What finds tool calls in an answer, in vLLM's words: hermes, llama3_json, mistral, qwen3_coder, "
        "... It also lets the model choose tools by itself. Checked against the release.",
    )
    reasoning_parser: EngineWord | None = Field(
        None,
        description="What tells the reasoning from the answer, in vLLM's words: deepseek_r1, qwen3, gptoss, ... "
        "Checked against the release.",
    )
    chat_template: ChatTemplate | None = Field(
        None, description="A chat template instead of the one beside the model's tokenizer."
    )
    api_key_secret_ref: KeyRef | None = Field(
        None,
        description="Secret key with the API key that clients of /v1 must send. It reaches the engine as VLLM_API_KEY, "
        "never in its arguments.",
    )
