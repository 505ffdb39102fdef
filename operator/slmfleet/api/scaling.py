"""`spec.scaling` and `status.scaling`: how many replicas there are, within which bounds, and why."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, Duration, Latency, cel, rule
from .quantities import fine_seconds, seconds

MAX_REPLICAS: Final = 1000
IDLE_AFTER: Final = "15m"
CHANGES: Final = 10
"""How many past changes status keeps."""

Mode = Literal["Active", "Shadow"]

# One field of cron: *, numbers, ranges, steps and lists; names of months and days as well.
_CRON_FIELD: Final = r"[0-9A-Za-z*/,#-]{1,40}"
Cron = Annotated[str, Field(min_length=9, max_length=100, pattern=rf"^{_CRON_FIELD}( {_CRON_FIELD}){{4}}$")]
TimeZone = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$")]
Word = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


def _between(least: str, most: str) -> dict[str, Any]:
    return cel(
        rule(
            f"duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
            f"must lie between {least} and {most}",
            holds=lambda d: fine_seconds(least) <= fine_seconds(d) <= fine_seconds(most),
            message_expression=f"self + ' does not lie between {least} and {most}'",
        )
    )


class Objectives(ApiModel):
    """What 95 % of the requests should get."""

    ttft_p95: Latency | None = Field(
        None,
        alias="ttftP95",
        description="Time to the first token, such as 500ms or 2s.",
        json_schema_extra=_between("10ms", "600s"),
    )
    itl_p95: Latency | None = Field(
        None,
        alias="itlP95",
        description="Time between two tokens of an answer, such as 60ms.",
        json_schema_extra=_between("1ms", "60s"),
    )


class Targets(ApiModel):
    """Load of one replica above which there should be more."""

    queue_depth: int | None = Field(None, ge=1, le=10_000, description="Requests that wait in one replica.")
    kv_cache_utilization_percent: int | None = Field(
        None, ge=10, le=100, description="Share of the KV cache in use, in percent."
    )


class Schedule(ApiModel):
    """A window that returns, with more replicas than minReplicas."""

    name: Word = Field(description="Name of the window, for status and events.")
    start: Cron = Field(description="When it begins, in cron's five fields: '0 8 * * 1-5'.")
    duration: Duration = Field(description="How long it lasts, such as 10h.", json_schema_extra=_between("1m", "168h"))
    time_zone: TimeZone = Field("Etc/UTC", description="Time zone of start, such as Europe/Berlin.")
    min_replicas: int = Field(ge=0, le=MAX_REPLICAS, description="Least replicas meanwhile.")


class ScaleToZero(ApiModel):
    """When an idle fleet ends its last replica."""

    idle_after: Duration = Field(
        IDLE_AFTER,
        description="After so long without a request nothing runs any more.",
        json_schema_extra=_between("10s", "168h"),
    )


class Scaling(ApiModel):
    """How many replicas the operator may run, and what for."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "self.maxReplicas >= self.minReplicas",
                "maxReplicas is less than minReplicas: raise one or lower the other",
                holds=lambda s: s.max_replicas >= s.min_replicas,
                field=".maxReplicas",
            ),
            rule(
                "!has(self.schedules) || self.schedules.all(s, s.minReplicas <= self.maxReplicas)",
                "a window asks for more than maxReplicas: raise maxReplicas",
                holds=lambda s: all(w.min_replicas <= s.max_replicas for w in s.schedules or ()),
                field=".schedules",
            ),
            rule(
                "!has(self.scaleToZero) || self.minReplicas == 0",
                "only a fleet with minReplicas: 0 may end its last replica",
                holds=lambda s: s.scale_to_zero is None or s.min_replicas == 0,
                field=".scaleToZero",
            ),
        )
    )

    min_replicas: int = Field(1, ge=0, le=MAX_REPLICAS, description="Least replicas; 0: none while nobody asks.")
    max_replicas: int = Field(ge=1, le=MAX_REPLICAS, description="Most replicas.")
    objectives: Objectives | None = Field(None, description="What 95 % of the requests should get.")
    targets: Targets | None = Field(None, description="Load of one replica above which there should be more.")
    mode: Mode = Field(
        "Active",
        description="Active: the decision is carried out, and replicas cannot be changed. Shadow: it is only reported, "
        "and replicas decides.",
    )
    schedules: list[Schedule] | None = Field(
        None,
        max_length=8,
        description="Windows with more replicas than minReplicas.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    scale_to_zero: ScaleToZero | None = Field(
        None, description=f"With minReplicas 0: when the last replica ends. Default after {IDLE_AFTER}."
    )

    @property
    def idle_seconds(self) -> float:
        """Seconds without a request after which nothing runs any more."""
        return seconds(IDLE_AFTER if self.scale_to_zero is None else self.scale_to_zero.idle_after)


class ScalingNeed(ApiModel):
    """How many replicas one consideration asks for."""

    name: str = Field(description="What it looks at, such as work, kvCache or queue.")
    replicas: str = Field(description="Replicas that it asks for, such as 2.4.")
    formula: str = Field(description="How, with the numbers.")


class ScalingChange(ApiModel):
    """A decision for another number of replicas."""

    time: str = Field(description="When (RFC 3339).")
    from_: int = Field(alias="from", description="Replicas before.")
    to: int = Field(description="Replicas after.")
    reason: str = Field(description="What decided, in one word.")
    message: str = Field(description="Why.")


class ScalingStatus(ApiModel):
    """Why there are so many replicas."""

    mode: Mode = Field(description="Active or Shadow.")
    desired: int = Field(description="Replicas that there should be.")
    reason: str = Field(description="What decides: a need or a bound, in one word.")
    message: str = Field(description="The formula with its numbers, as of `time`.")
    bound: str | None = Field(None, description="What keeps desired below what the load asks for.")
    needs: list[ScalingNeed] | None = Field(None, description="What each consideration asks for.")
    time: str = Field(description="When message and needs were written; at most once a minute.")
    changes: list[ScalingChange] | None = Field(
        None, max_length=CHANGES, description="The last changes of desired, newest first."
    )
    learned: dict[str, Any] | None = Field(
        None,
        description="What the fleet has shown of its capacity, for a restarted operator.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
