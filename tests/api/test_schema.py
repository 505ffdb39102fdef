"""The rewriting of pydantic's JSON Schema into a structural one, and what is refused."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from slmfleet.api import crds
from slmfleet.api.base import cel, rule
from slmfleet.api.schema import OPAQUE, RULES, Schema, SchemaError, structural, without_defaults

Short = Annotated[str, Field(max_length=8)]
DOC: Any = "Words for kubectl explain."


def schema_of(annotation: Any, default: Any = ..., **extra: Any) -> Schema:
    """The schema of a model's only field, with a description so that only the field's own faults show."""
    field = Field(default, description=DOC, **extra)
    model: type[BaseModel] = create_model("Model", field=(annotation, field))
    return dict(structural(model, "spec")["properties"]["field"])


class Inner(BaseModel):
    """A nested object with a default inside."""

    size: int = Field(3, description=DOC)
    note: Short | None = Field(None, description=DOC)


class Bare(BaseModel):
    """A nested object without any default inside."""

    note: Short | None = Field(None, description=DOC)


class Needy(BaseModel):
    """A nested object with a field that has no default."""

    size: int = Field(description=DOC)


class Tree(BaseModel):
    """A model that contains itself."""

    child: "Tree | None" = Field(None, description=DOC)


class Colour(StrEnum):
    """An enumeration that pydantic writes behind a reference."""

    RED = "red"
    BLUE = "blue"


def test_an_optional_field_is_a_plain_field_that_is_not_required() -> None:
    model = create_model("Model", field=(Short | None, Field(None, description=DOC)))
    schema = structural(model, "spec")
    assert schema["properties"]["field"] == {"description": DOC, "type": "string", "maxLength": 8}
    assert "required" not in schema


def test_a_reference_is_replaced_by_what_it_names() -> None:
    assert schema_of(Needy)["properties"]["size"] == {"description": DOC, "type": "integer"}


def test_the_description_of_a_field_wins_over_that_of_its_type() -> None:
    assert schema_of(Needy)["description"] == DOC


def test_rules_of_a_type_and_of_its_field_both_stay() -> None:
    class Ruled(BaseModel):
        """With a rule of its own."""

        model_config = {"json_schema_extra": cel(rule("self.size > 0", "inner"))}
        size: int = Field(description=DOC)

    schema = schema_of(Ruled, json_schema_extra=cel(rule("self.size < 9", "outer")))
    assert [r["message"] for r in schema[RULES]] == ["inner", "outer"]


def test_titles_go_but_a_field_of_that_name_stays() -> None:
    model = create_model("Model", title=(Short, Field(description=DOC)))
    schema = structural(model, "spec")
    assert "title" not in schema
    assert schema["properties"]["title"]["type"] == "string"
    assert "title" not in schema["properties"]["title"]


@pytest.mark.parametrize(("annotation", "values"), [(Literal["a"], ["a"]), (Literal["a", "b"], ["a", "b"])])
def test_literals_become_an_enum(annotation: Any, values: list[str]) -> None:
    assert schema_of(annotation) == {"description": DOC, "type": "string", "enum": values}


def test_an_enumeration_becomes_an_enum() -> None:
    assert schema_of(Colour)["enum"] == ["red", "blue"]


def test_exclusive_bounds_become_flags_beside_the_bound() -> None:
    schema = schema_of(int, gt=0, lt=10)
    assert {k: v for k, v in schema.items() if "imum" in k} == {
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 10,
        "exclusiveMaximum": True,
    }


def test_a_map_keeps_its_value_type_and_its_size() -> None:
    schema = schema_of(dict[str, Short], max_length=4)
    assert schema["additionalProperties"] == {"type": "string", "maxLength": 8}
    assert schema["maxProperties"] == 4


def test_an_object_says_nothing_about_further_properties() -> None:
    class Strict(BaseModel, extra="forbid"):
        """Refuses unknown fields, which is the API server's business."""

        size: int = Field(description=DOC)

    assert "additionalProperties" not in schema_of(Strict)


def test_key_patterns_become_a_rule_that_names_the_key() -> None:
    key = Annotated[str, Field(max_length=5, pattern="^[a-z]+$")]
    schema = schema_of(dict[key, Short], max_length=4)
    assert schema["additionalProperties"] == {"type": "string", "maxLength": 8}
    (written,) = schema[RULES]
    assert written["rule"] == 'self.all(k, 0 <= k.size() && k.size() <= 5 && k.matches("^[a-z]+$"))'
    assert "self.filter(k, " in written["messageExpression"]


def test_a_set_becomes_a_list_of_distinct_items() -> None:
    schema = schema_of(set[Short], max_length=4)
    assert schema["type"] == "array"
    assert schema["x-kubernetes-list-type"] == "set"
    assert "uniqueItems" not in schema


def test_an_opaque_object_needs_neither_fields_nor_a_size() -> None:
    schema = schema_of(dict[str, Any], json_schema_extra={OPAQUE: True})
    assert schema == {"description": DOC, "type": "object", OPAQUE: True}


def test_scalar_defaults_are_written() -> None:
    assert schema_of(bool, False)["default"] is False


@pytest.mark.parametrize("default", [None, []])
def test_a_default_that_says_nothing_is_left_out(default: Any) -> None:
    assert "default" not in schema_of(list[Short] | None, default, max_length=3)


def test_a_nested_default_lets_the_api_server_descend() -> None:
    schema = schema_of(Inner, Inner())
    assert schema["default"] == {}
    assert schema["properties"]["size"]["default"] == 3


def test_a_nested_object_without_defaults_inside_does_not_appear_by_itself() -> None:
    assert "default" not in schema_of(Bare, Bare())


def test_a_nested_default_that_differs_from_the_fields_is_written_out() -> None:
    assert schema_of(Inner, Inner(size=7))["default"] == {"size": 7}


def test_a_nested_default_with_a_required_field_is_written_out() -> None:
    assert schema_of(Needy, Needy(size=7))["default"] == {"size": 7}


def test_without_defaults_strips_every_level() -> None:
    schema = without_defaults(structural(create_model("M", field=(Inner, Field(Inner(), description=DOC))), "status"))
    assert "default" not in str(schema)


@pytest.mark.parametrize(
    ("annotation", "extra", "complaint"),
    [
        (str, {}, "spec.field: no maxLength"),
        (list[Short], {}, "spec.field: no maxItems"),
        (list[str], {"max_length": 2}, "spec.field[]: no maxLength"),
        (dict[str, Short], {}, "spec.field: no maxProperties"),
        (dict[str, str], {"max_length": 2}, "spec.field{}: no maxLength"),
        (int | Short, {}, "spec.field: a union of 2 types"),
        (tuple[int, int], {}, "spec.field: prefixItems cannot be said"),
        (dict[str, Any], {}, "spec.field: a map of anything"),
        (Any, {}, "spec.field: no type"),
        (Tree, {}, "spec.field.child: Tree contains itself"),
        (dict[Annotated[str, Field(min_length=1)], Short], {"max_length": 2}, "spec.field: keys without a max_length"),
        (dict[Colour, Short], {"max_length": 2}, "spec.field: keys with"),
    ],
)
def test_what_a_crd_cannot_say_is_refused_at_its_path(annotation: Any, extra: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SchemaError) as error:
        schema_of(annotation, **extra)
    assert str(error.value).startswith(complaint)


def test_a_field_without_a_description_is_refused() -> None:
    model = create_model("Model", field=(int, ...))
    with pytest.raises(SchemaError, match=r"^spec\.field: no description"):
        structural(model, "spec")


def test_an_unbounded_string_passes_where_no_rule_can_read_it() -> None:
    model = create_model("Model", field=(str, Field(description=DOC)))
    assert structural(model, "status", under_rules=False)["properties"]["field"] == {
        "description": DOC,
        "type": "string",
    }


def test_a_list_with_a_rule_below_it_needs_a_size_everywhere() -> None:
    ruled = Annotated[str, Field(max_length=8, json_schema_extra=cel(rule("self != 'x'", "m")))]
    model = create_model("Model", field=(list[ruled], Field(description=DOC)))
    with pytest.raises(SchemaError, match=r"^status\.field: no maxItems"):
        structural(model, "status", under_rules=False)


scalars = st.sampled_from([(int, {}), (bool, {}), (str, {"max_length": 4}), (Literal["a", "b"], {})])
wrappers = st.lists(st.sampled_from(["optional", "list", "map", "object"]), max_size=4)


def wrapped(annotation: Any, layers: list[str]) -> Any:
    for layer in layers:
        match layer:
            case "optional":
                annotation = annotation | None
            case "list":
                annotation = Annotated[list[annotation], Field(max_length=3)]
            case "map":
                annotation = Annotated[dict[str, annotation], Field(max_length=3)]
            case "object":
                annotation = create_model("Layer", inside=(annotation, Field(description=DOC)))
    return annotation


def nodes(schema: Schema) -> list[Schema]:
    below = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return [schema, *(node for child in below if child for node in nodes(child))]


@given(scalar=scalars, layers=wrappers)
def test_every_node_of_a_structural_schema_has_one_type_and_no_foreign_keyword(
    scalar: tuple[Any, dict[str, Any]], layers: list[str]
) -> None:
    annotation, extra = scalar
    schema = schema_of(wrapped(Annotated[annotation, Field(**extra)], layers))
    for node in nodes(schema):
        assert isinstance(node["type"], str)
        assert not {"$ref", "$defs", "anyOf", "allOf", "oneOf", "const", "title", "prefixItems"} & node.keys()


def test_the_real_kinds_have_one_type_at_every_node() -> None:
    for definition in crds.DEFINITIONS:
        for node in nodes(definition.schema()):
            assert isinstance(node.get("type"), str) != node.get("x-kubernetes-int-or-string", False)
