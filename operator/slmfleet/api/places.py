"""Places of weights and tokenizers: the hub, a claim, the image."""

import re
from typing import Annotated, Final

from pydantic import Field

from .base import Rule, rule

URI_FORMS: Final = (
    # No name begins with a dash: the engine would take it for a flag.
    "^hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+$",
    "^pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9._-]+)*$",
    "^image:///[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
)
Revision = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*$")
]


def place(what: str) -> tuple[Rule, ...]:
    """The rules of a URI that says where `what` is."""
    return (
        rule(
            " || ".join(f"self.matches('{form}')" for form in URI_FORMS),
            f"no place for {what}: use hf://owner/name, pvc://claim/path or image:///path",
            holds=lambda uri: any(re.match(form, uri) for form in URI_FORMS),
            message_expression=f"'\"' + self + '\" is no place for {what}: use hf://owner/name, pvc://claim/path or "
            "image:///path'",
        ),
        rule("!self.contains('/..')", "must not contain '..': write the path out", holds=lambda uri: "/.." not in uri),
    )


def hub_only(name: str, attribute: str, *, uri: str = "uri", why: str = "") -> Rule:
    """The field `name` (`attribute` in Python) only says something where the field `uri` names a place on the hub."""
    return rule(
        f"!has(self.{name}) || (has(self.{uri}) && self.{uri}.startsWith('hf://'))",
        f"only applies to hf:// models{why}: remove it",
        holds=lambda m: getattr(m, attribute) is None or (getattr(m, uri) or "").startswith("hf://"),
        field=f".{name}",
        forbidden=True,
    )
