"""`spec.engine`: the vLLM that serves the model."""

import re
from functools import partial
from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel, Duration, cel, literal, rule
from .quantities import seconds

# Flags that a typed field or the operator itself writes, and what to do instead: a second value in extraArgs would win
# silently.
RESERVED_FLAGS: Final[dict[str, str]] = {
    "--model": "set spec.model.uri instead",
    "--revision": "set spec.model.revision instead",
    "--served-model-name": "set spec.model.servedNames instead",
    "--max-model-len": "set spec.engine.maxModelLen instead",
    "--tensor-parallel-size": "set spec.parallelism.tensor instead",
    "-tp": "set spec.parallelism.tensor instead",
    "--api-key": "a key in the arguments could be read in the pod, remove it",
    "--hf-token": "set spec.model.secretRef instead",
    "--host": "the probes and the Service need every address, remove it",
    "--port": "the probes and the Service depend on the operator's value, remove it",
    "--shutdown-timeout": "set spec.drain.timeout instead",
    "--download-dir": "set spec.model.cache instead",
    "--config": "a file could set any of the operator's flags, write its flags here instead",
    "--uds": "the probes and the Service need a port, remove it",
    "--ssl-keyfile": "the probes and the Service speak HTTP, end TLS in front of the Service",
    "--ssl-certfile": "the probes and the Service speak HTTP, end TLS in front of the Service",
    "--help": "the engine would print its options and end, remove it",
    "-h": "the engine would print its options and end, remove it",
    "--headless": "a replica without a server is never ready, remove it",
    "--pipeline-parallel-size": "a replica has the GPUs of spec.parallelism.tensor only, remove it",
    "-pp": "a replica has the GPUs of spec.parallelism.tensor only, remove it",
    "--data-parallel-size": "a replica has the GPUs of spec.parallelism.tensor only, set spec.replicas instead",
    "-dp": "a replica has the GPUs of spec.parallelism.tensor only, set spec.replicas instead",
}


def _as_written(flag: str) -> str:
    """The pattern of every way to write `flag`.

    vLLM takes underscores for dashes, and argparse takes every unambiguous beginning of a long flag: three letters on.
    """
    if not flag.startswith("--"):
        return f"^{flag}(=|$)"
    letters = ["[-_]" if letter == "-" else letter for letter in flag[2:]]
    ending = "".join(f"({letter}" for letter in letters[3:]) + ")?" * len(letters[3:])
    return f"^--{''.join(letters[:3])}{ending}(=|$)"


_PATTERNS: Final = {flag: re.compile(_as_written(flag)) for flag in RESERVED_FLAGS}


def _free_of(flag: str, arguments: list[str]) -> bool:
    return not any(_PATTERNS[flag].match(argument) for argument in arguments)


# One rule per flag: a map from flags to advice would be shorter, but the API server cannot bound what it costs.
_RESERVED_RULES: Final = tuple(
    rule(
        f"!self.exists(a, a.matches({literal(_as_written(flag))}))",
        f"{flag} is not allowed: {advice}",
        holds=partial(_free_of, flag),
        forbidden=True,
    )
    for flag, advice in RESERVED_FLAGS.items()
)


class Engine(ApiModel):
    """The vLLM that serves the model."""

    version: str = Field(
        min_length=5,
        max_length=20,
        pattern=r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}((rc|\.post)[0-9]{1,3})?$",
        description="Release of vLLM, such as 0.32.0 (0.11.0 or newer). It decides which flags exist.",
        json_schema_extra=cel(
            rule(
                "int(self.split('.')[0]) > 0 || int(self.split('.')[1]) >= 11",
                "older than 0.11.0, the first release with only the V1 engine: use 0.11.0 or newer",
                holds=lambda version: int(version.split(".")[0]) > 0 or int(version.split(".")[1]) >= 11,
                message_expression="self + ' is older than 0.11.0, the first release with only the V1 engine: use "
                "0.11.0 or newer'",
            )
        ),
    )
    image: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        pattern=r"^[^\s@:]+(:[0-9]+/[^\s@:]+)?(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$",
        description="Container image with that vLLM release. Default: the release's upstream image for the "
        "accelerator's platform.",
    )
    max_model_len: int | None = Field(
        None,
        ge=1,
        le=10_485_760,
        description="Longest sequence, prompt plus answer, in tokens. Default: the model's own maximum. Lower values "
        "leave more of the KV cache for concurrent requests.",
    )
    start_timeout: Duration | None = Field(
        None,
        description="Longest time from the container's start to its first answer: download, loading, compilation, "
        "such as 30m. Default: a generous guess from the size that the model's name tells.",
        json_schema_extra=cel(
            rule(
                "duration(self) >= duration('30s') && duration(self) <= duration('12h')",
                "must lie between 30s and 12h",
                holds=lambda d: 30 <= seconds(d) <= 12 * 3600,
            )
        ),
    )
    extra_args: list[Annotated[str, Field(min_length=1, max_length=2048)]] | None = Field(
        None,
        max_length=64,
        description="Further arguments of the vLLM server, one list item per word. Flags that have a field are "
        "refused.",
        json_schema_extra=cel(
            *_RESERVED_RULES,
            rule(
                "self.all(a, !a.matches('^--?[a-z][^= ]* '))",
                "a flag and its value in one item reach vLLM as one word: make them two items, or join them with '='",
                holds=lambda arguments: not any(re.match("^--?[a-z][^= ]* ", a) for a in arguments),
                message_expression="'\"' + self.filter(a, a.matches('^--?[a-z][^= ]* '))[0] + '\" reaches vLLM as one "
                'word: make flag and value two items, or join them with "="\'',
            ),
        ),
    )
