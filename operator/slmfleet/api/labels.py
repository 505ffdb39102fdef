"""Label selectors, as Kubernetes has them."""

from typing import Literal

from pydantic import ConfigDict, Field

from .base import ApiModel, LabelKey, LabelValue, cel, rule


class LabelRequirement(ApiModel):
    """A requirement on one label."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
                "operators In and NotIn need values, Exists and DoesNotExist take none",
                holds=lambda r: (r.operator in ("In", "NotIn")) == bool(r.values),
            )
        )
    )

    key: LabelKey = Field(description="The label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the label's value is compared.")
    values: list[LabelValue] | None = Field(None, max_length=32, description="Values for In and NotIn.")


class LabelSelector(ApiModel):
    """Which objects are meant: those that meet every requirement, and all of them where there is none."""

    match_labels: dict[LabelKey, LabelValue] | None = Field(
        None, min_length=1, max_length=16, description="Labels with exactly these values."
    )
    match_expressions: list[LabelRequirement] | None = Field(
        None, min_length=1, max_length=8, description="Further requirements on labels; all must hold."
    )
