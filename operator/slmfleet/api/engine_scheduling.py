"""`spec.engine`: what a step computes, and in which order requests get there."""

from typing import Final, Literal

from pydantic import Field

from .base import ApiModel, Rule, rule


class SchedulingFields(ApiModel):
    """How requests are put together to steps."""

    max_num_seqs: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Requests that are computed together at most; more wait. Default: the engine's, 256 to 1024 by "
        "the GPU's memory.",
    )
    max_num_batched_tokens: int | None = Field(
        None,
        ge=1,
        le=16_777_216,
        description="Tokens of a step at most, over all its requests. More raise throughput, fewer smooth the "
        "inter-token latency. Default: the engine's, 2048 to 16384 by the GPU's memory.",
    )
    chunked_prefill: bool | None = Field(
        None,
        description="Whether a long prompt is computed in pieces between the other requests' tokens. Default: on "
        "where the model allows it.",
    )
    scheduling_policy: Literal["FCFS", "Priority"] | None = Field(
        None,
        description="Order of the waiting requests. FCFS: as they came. Priority: by the request's priority, lower "
        "first. Default FCFS.",
    )
    enforce_eager: bool | None = Field(
        None,
        description="Without CUDA graphs and compilation: starts quickly and answers slowly, for debugging. Default: "
        "false.",
    )
    optimization_level: int | None = Field(
        None,
        ge=0,
        le=3,
        description="How much time the start may spend on compilation, from 0 (none) to 3 (most). Default: the "
        "engine's, 2.",
    )


SCHEDULING_RULES: Final[tuple[Rule, ...]] = (
    rule(
        "!has(self.maxNumSeqs) || !has(self.maxNumBatchedTokens) || self.maxNumSeqs <= self.maxNumBatchedTokens",
        "each request of a step takes at least one token: maxNumSeqs must be at most maxNumBatchedTokens",
        holds=lambda e: (
            None in (e.max_num_seqs, e.max_num_batched_tokens) or e.max_num_seqs <= e.max_num_batched_tokens
        ),
        field=".maxNumSeqs",
    ),
    rule(
        "!has(self.chunkedPrefill) || self.chunkedPrefill || !has(self.maxNumBatchedTokens) || !has(self.maxModelLen)"
        " || self.maxModelLen <= self.maxNumBatchedTokens",
        "without chunkedPrefill a prompt must fit into one step: raise it to maxModelLen, lower maxModelLen, or leave "
        "chunkedPrefill on",
        holds=lambda e: (
            e.chunked_prefill is not False
            or None in (e.max_num_batched_tokens, e.max_model_len)
            or e.max_model_len <= e.max_num_batched_tokens
        ),
        field=".maxNumBatchedTokens",
    ),
)
