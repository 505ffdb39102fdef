"""Options that vLLM refuses: by name, by value, or beside each other."""

from typing import Final

from .cause import Row, rows

ROWS: Final[tuple[Row, ...]] = rows(
    (r"error: unrecognized arguments: [^\n]+", "this vLLM release has no such flag: correct spec.engine.extraArgs"),
    (r"error: ambiguous option: [^\n]+", "write the flag out in spec.engine.extraArgs"),
    (
        r"error: argument --max-lora-rank: [^\n]+",
        "choose a spec.engine.lora.maxRank that this release has",
    ),
    (
        r"error: argument [^\n]+",
        "correct the value in spec.engine.extraArgs, or in the field that `slmfleet explain` names for this flag",
    ),
    (
        r"(?:invalid tool call parser: |Tool parser '[^'\n]*' not found\.)[^\n]+",
        "correct spec.engine.toolCallParser, or the release that has this parser: spec.engine.version",
    ),
    (
        r"(?:invalid reasoning parser: |Reasoning parser '[^'\n]*' not found\.)[^\n]+",
        "correct spec.engine.reasoningParser, or the release that has this parser: spec.engine.version",
    ),
    (
        r"--enable-auto-tool-choice requires (?:--tool-call-parser|tool_parser:[^\n]+)",
        "name the parser in spec.engine.toolCallParser, and leave the flag out of spec.engine.extraArgs",
    ),
    (
        r"The supplied chat template [^\n]*?appears path-like, but doesn't exist!",
        "put the template into a ConfigMap and name it in spec.engine.chatTemplate",
    ),
    (
        r"Invalid middleware [^\n]+",
        "correct --middleware in spec.engine.extraArgs: module.Class of a package that the image has",
    ),
    (r"Load format [`'\"]?\w+[`'\"]? is not supported[^\n]*", "correct spec.engine.loadFormat"),
    (
        r"max_num_batched_tokens \(\d+\) must be greater than or equal to max_num_seqs \(\d+\)",
        "raise spec.engine.maxNumBatchedTokens, or lower spec.engine.maxNumSeqs",
    ),
    (
        r"max_num_batched_tokens \(\d+\) is smaller than max_model_len \(\d+\)",
        "raise spec.engine.maxNumBatchedTokens, lower spec.engine.maxModelLen, or leave spec.engine.chunkedPrefill on",
    ),
    (
        r"(?<=validation error for SpeculativeConfig\nmethod\n)[ ]+Input should be [^\n]+",
        "choose a spec.engine.speculative.method that this release has",
    ),
    (
        r"num_speculative_tokens was provided but without speculative model",
        "name spec.engine.speculative.model, or a spec.engine.speculative.method that needs none, such as ngram",
    ),
    (
        r"Target and draft model should have the same vocabulary size\.[^\n]*?(?= Using models|$)",
        "choose a draft model of the same family in spec.engine.speculative.model",
    ),
    (
        r"Sleep mode is not supported on current platform",
        "leave out spec.engine.sleepMode: this platform has none",
    ),
    (
        r"VLLM_PORT '[^'\n]*' appears to be a URI",
        "a Service named vllm sets this variable where the pod takes Service links: remove VLLM_PORT from spec.pod.env",
    ),
)
