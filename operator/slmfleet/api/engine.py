"""`spec.engine`: the vLLM that serves the model."""

from typing import Annotated

from pydantic import ConfigDict, Field

from .base import ApiModel, Duration, cel, rule
from .engine_features import FeatureFields
from .engine_flags import EXTRA_ARGS_RULES
from .engine_memory import MEMORY_RULES, MemoryFields
from .engine_scheduling import SCHEDULING_RULES, SchedulingFields
from .engine_serving import ServingFields
from .engine_weights import WeightFields
from .quantities import seconds


class EngineRelease(ApiModel):
    """Which vLLM runs, and how long it may take to start."""

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


# The last base comes first: in the CRD, in the reference, in `slmfleet explain`.
class Engine(ServingFields, FeatureFields, SchedulingFields, MemoryFields, WeightFields, EngineRelease):
    """The vLLM that serves the model."""

    model_config = ConfigDict(json_schema_extra=cel(*MEMORY_RULES, *SCHEDULING_RULES))

    extra_args: list[Annotated[str, Field(min_length=1, max_length=2048)]] | None = Field(
        None,
        max_length=64,
        description="Further arguments of the vLLM server, one list item per word. Flags that have a field are "
        "refused.",
        json_schema_extra=cel(*EXTRA_ARGS_RULES),
    )
