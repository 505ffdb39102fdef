"""`spec.guard`: the middleware inside the engine that shields it."""

from typing import Annotated, Final

from pydantic import Field

from .base import ApiModel, Quantity, cel, rule
from .quantities import MIB, size

ROUTE: Final = r"^(GET|POST|PUT|PATCH|DELETE) (/([A-Za-z0-9._~-]+|\*))+$"


class Guard(ApiModel):
    """What clients may ask of the engine. A change rolls the pods."""

    enabled: bool = Field(
        True,
        description="Whether the guard runs inside the engine: it opens the routes of the inference API to clients and "
        "closes all others, and moves keep-alive clients to other replicas before a pod ends. false: vLLM as it is.",
    )
    max_body: Quantity = Field(
        "32Mi",
        description="Largest body of a request in bytes; above it the answer is 413. Images and audio come as part of "
        "the body.",
        json_schema_extra=cel(
            rule(
                "quantity(self).compareTo(quantity('1Mi')) >= 0 && quantity(self).compareTo(quantity('4Gi')) <= 0",
                "is in bytes and must lie between 1Mi and 4Gi, such as 32Mi",
                holds=lambda q: MIB <= size(q) <= 4096 * MIB,
                message_expression="self + ' is in bytes and must lie between 1Mi and 4Gi, such as 32Mi'",
            )
        ),
    )
    extra_routes: list[Annotated[str, Field(min_length=5, max_length=256, pattern=ROUTE)]] | None = Field(
        None,
        max_length=32,
        description="Further routes that clients may call, such as 'POST /tokenize'; * stands for one part of a path. "
        "A * never opens a route that administers the engine, its full name does.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
