"""`status.coldStart`: how long replicas have taken from their creation to their first answer."""

from typing import Any

from pydantic import Field

from .base import ApiModel


class PhaseSeconds(ApiModel):
    """Seconds that a phase took."""

    p50: int = Field(description="Of half of the starts, at most.")
    p90: int = Field(description="Of nine in ten, at most.")


class ColdStartStatus(ApiModel):
    """The last starts of replicas, by phase."""

    starts: int = Field(description="Starts that the numbers come from.")
    scheduling: PhaseSeconds = Field(description="From creation to a node.")
    pulling: PhaseSeconds = Field(description="To the engine's start: volumes, network, image.")
    loading: PhaseSeconds = Field(description="To the first answer: weights, compilation, warm-up.")
    total: PhaseSeconds = Field(description="All of it.")

    @classmethod
    def of(cls, status: Any) -> "ColdStartStatus | None":  # noqa: ANN401 - whatever some release wrote
        """As it stands in a status; None where it cannot be read."""
        try:
            known = {key: status[key] for key in cls.model_fields}
            return cls.model_validate(known)
        except (KeyError, TypeError, ValueError):
            return None
