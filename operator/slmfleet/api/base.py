"""What every API model shares: strict parsing, camelCase, and the constrained scalars of Kubernetes."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "slmfleet.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"


class ApiModel(BaseModel):
    """A frozen, strict, camelCase model: an unknown field or a wrong type is an error, never a guess."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True)

    def to_manifest(self) -> dict[str, Any]:
        """The object as it stands in a manifest: camelCase keys, absent instead of null."""
        return self.model_dump(by_alias=True, exclude_none=True)


class Rule(dict[str, str]):
    """One entry of `x-kubernetes-validations`, and the same check in Python."""

    holds: Callable[[Any], bool] | None = None
    """Takes the parsed value. None where the rule compares with the old object, which only the API server has."""
    told: Callable[[Any], str] | None = None
    """What is wrong with a value, where `message` cannot say it; as messageExpression."""


def rule(
    expression: str,
    message: str,
    *,
    holds: Callable[[Any], bool] | None = None,
    told: Callable[[Any], str] | None = None,
    message_expression: str | None = None,
    field: str | None = None,
    forbidden: bool = False,
) -> Rule:
    """One CEL validation for `x-kubernetes-validations`; `holds` says the same of the parsed value.

    The API server puts the path in front of `message`, that of `field` (such as ".size") where the rule stands at the
    object around it. Before 1.35 it does not show the value: `message_expression` does.
    """
    extra = {
        "messageExpression": message_expression,
        "reason": "FieldValueForbidden" if forbidden else None,
        "fieldPath": field,
    }
    made = Rule({"rule": expression, "message": message, **{k: v for k, v in extra.items() if v}})
    made.holds, made.told = holds, told
    return made


def cel(*rules: Rule, **schema: object) -> dict[str, Any]:
    """`json_schema_extra` that carries CEL rules, and other schema keywords, into the CRD."""
    return {"x-kubernetes-validations": list(rules), **schema}


def literal(text: str) -> str:
    """`text` as a string literal of CEL, whatever quotes it holds."""
    return json.dumps(text)


# RFC 1123 subdomain: what names of Secrets, claims and classes may be.
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
# Keys of a Secret or ConfigMap.
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
# An optional DNS prefix of 253 characters, a slash, and a name of 63.
LabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=317,
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
    ),
]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
Quantity = Annotated[
    str,
    Field(min_length=1, max_length=32, pattern=r"^[0-9]+(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"),
]
# Go's duration syntax without fractions: 90s, 5m, 1h30m.
Duration = Annotated[str, Field(min_length=2, max_length=20, pattern=r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$")]
# The same with milliseconds, in one unit: 500ms, 2s.
Latency = Annotated[str, Field(min_length=2, max_length=10, pattern=r"^[0-9]{1,7}(ms|s)$")]
# A word of vLLM's own, such as a quantization or a parser: which ones exist depends on the release.
EngineWord = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
