"""From a pydantic model to the structural OpenAPI schema that a CustomResourceDefinition takes.

Pydantic writes JSON Schema 2020-12: `$ref`, `anyOf` with null, `const`, `prefixItems`, numeric `exclusiveMinimum`.
apiextensions/v1 takes an OpenAPI v3 dialect without them, in which every node states its type once. What cannot be
said there is refused by name, so that a model never means more than its CRD.
"""

import json
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

RULES: Final = "x-kubernetes-validations"
OPAQUE: Final = "x-kubernetes-preserve-unknown-fields"

# The keywords of a structural schema, in the order in which they are written.
_KEYWORDS: Final = (
    "description",
    "type",
    "format",
    "nullable",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "multipleOf",
    "default",
    "minItems",
    "maxItems",
    "items",
    "minProperties",
    "maxProperties",
    "additionalProperties",
    "required",
    "properties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-int-or-string",
    OPAQUE,
    RULES,
)
_RULE_KEYS: Final = ("rule", "message", "messageExpression", "reason", "fieldPath", "optionalOldSelf")
# Formats whose strings the API server itself knows the length of.
_SHORT_FORMATS: Final = frozenset({"date", "date-time", "duration", "uuid", "ipv4", "ipv6"})


class SchemaError(ValueError):
    """A model says something that a structural schema cannot."""


def structural(model: type[BaseModel], path: str, *, under_rules: bool = True) -> Schema:
    """The structural schema of `model`; `path` is where it stands in the object and opens every complaint.

    `under_rules` says that CEL rules of the whole object may read it: then every string, list and map needs a size.
    Otherwise only those need one that have a rule at, above or below them.
    """
    raw = model.model_json_schema(by_alias=True)
    schema = _rewrite(raw, raw.get("$defs", {}), path, ())
    _check(schema, path, under_rule=under_rules)
    return schema


def without_defaults(schema: Schema) -> Schema:
    """The same schema without defaults, for a status: a value that nobody observed must not appear in one."""
    bare = {k: v for k, v in schema.items() if k != "default"}
    for key in ("items", "additionalProperties"):
        if key in bare:
            bare[key] = without_defaults(bare[key])
    if "properties" in bare:
        bare["properties"] = {name: without_defaults(child) for name, child in bare["properties"].items()}
    return bare


def _rewrite(node: Schema, defs: dict[str, Schema], path: str, parents: tuple[str, ...]) -> Schema:
    node, parents = _inline(node, defs, path, parents)
    node = {k: v for k, v in node.items() if k not in {"title", "$defs"}}
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if node.pop("uniqueItems", False):
        node["x-kubernetes-list-type"] = "set"
    _numeric_bounds(node)
    _keys_to_rules(node, path)
    _map_values(node, path)
    if "items" in node:
        node["items"] = _rewrite(node["items"], defs, f"{path}[]", parents)
    if "additionalProperties" in node:
        node["additionalProperties"] = _rewrite(node["additionalProperties"], defs, f"{path}{{}}", parents)
    if "properties" in node:
        node["properties"] = {
            name: _rewrite(child, defs, f"{path}.{name}", parents) for name, child in node["properties"].items()
        }
    _default(node)
    return _ordered(node, path)


def _inline(
    node: Schema, defs: dict[str, Schema], path: str, parents: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """Replace references and optional unions by what they stand for; the keywords beside them win."""
    while True:
        if "$ref" in node:
            name = node["$ref"].rsplit("/", 1)[1]
            if name in parents:
                raise SchemaError(f"{path}: {name} contains itself, which a structural schema cannot say")
            parents = (*parents, name)
            target = defs[name]
        elif len(node.get("allOf", ())) == 1:
            target = node["allOf"][0]
        elif "anyOf" in node:
            options = [option for option in node["anyOf"] if option.get("type") != "null"]
            if len(options) != 1:
                raise SchemaError(f"{path}: a union of {len(options)} types; use one optional field per type")
            target = options[0]
        else:
            return node, parents
        beside = {k: v for k, v in node.items() if k not in {"$ref", "allOf", "anyOf"}}
        rules = [*target.get(RULES, ()), *beside.get(RULES, ())]
        node = {**target, **beside, **({RULES: rules} if rules else {})}


def _numeric_bounds(node: Schema) -> None:
    """2020-12 writes `exclusiveMinimum: 0`; OpenAPI v3 writes `minimum: 0, exclusiveMinimum: true`."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if exclusive in node:
            node[bound] = node[exclusive]
            node[exclusive] = True


def _keys_to_rules(node: Schema, path: str) -> None:
    """A structural schema says nothing about a map's keys, so their pattern and length become a CEL rule."""
    names: Schema = dict(node.pop("propertyNames", {}))
    patterns = node.pop("patternProperties", {})
    if len(patterns) > 1:
        raise SchemaError(f"{path}: several key patterns; a map has one value type")
    for pattern, values in patterns.items():
        names["pattern"] = pattern
        node["additionalProperties"] = values
    names.pop("title", None)
    conditions, words = [], []
    if "minLength" in names or "maxLength" in names:
        low, high = names.pop("minLength", 0), names.pop("maxLength", None)
        if high is None:
            raise SchemaError(f"{path}: keys without a max_length")
        conditions.append(f"{low} <= k.size() && k.size() <= {high}")
        words.append(f"have {low} to {high} characters")
    if "pattern" in names:
        conditions.append(f"k.matches({json.dumps(names['pattern'])})")
        words.append(f"match {names.pop('pattern')}")
    names.pop("type", None)
    if names:
        raise SchemaError(f"{path}: keys with {sorted(names)}; only a pattern and lengths are possible")
    if conditions:
        valid = " && ".join(conditions)
        told = f"keys must {' and '.join(words)}"
        wrong = f"self.filter(k, !({valid}))[0]"
        rule = {
            "rule": f"self.all(k, {valid})",
            "message": told,
            "messageExpression": f"'\"' + {wrong} + '\" is not a valid key: ' + {json.dumps(told)}",
        }
        node[RULES] = [rule, *node.get(RULES, ())]


def _map_values(node: Schema, path: str) -> None:
    """Unknown fields are pruned or refused by the API server, so only a map's value type remains to be said."""
    values = node.get("additionalProperties")
    if node.get(OPAQUE) or values is False:
        node.pop("additionalProperties", None)
    elif values is True:
        raise SchemaError(f"{path}: a map of anything; give its values a type or preserve unknown fields")


def _default(node: Schema) -> None:
    """Write defaults so that the API server completes an absent object from its fields' own defaults.

    `default: {}` makes it descend, and each field states its default once. Where no field has one the parent stays
    absent: an empty object that nobody wrote would only be noise in the stored object.
    """
    if "default" not in node:
        return
    if node["default"] is None or node["default"] == []:
        del node["default"]
    elif "properties" in node:
        value = _without_null(node["default"])
        implied = _implied(node)
        if value == implied:
            value = {}
        if implied or value:
            node["default"] = value
        else:
            del node["default"]


def _implied(node: Schema) -> Schema:
    """What the API server makes of `{}`."""
    filled: Schema = {}
    for name, child in node["properties"].items():
        if "default" in child:
            nested = "properties" in child and child["default"] == {}
            filled[name] = _implied(child) if nested else child["default"]
    return filled


def _without_null(value: Schema) -> Schema:
    return {k: _without_null(v) if isinstance(v, dict) else v for k, v in value.items() if v is not None}


def _ordered(node: Schema, path: str) -> Schema:
    unknown = sorted(node.keys() - set(_KEYWORDS))
    if unknown:
        raise SchemaError(f"{path}: {', '.join(unknown)} cannot be said in a structural schema")
    if "type" not in node and "x-kubernetes-int-or-string" not in node:
        raise SchemaError(f"{path}: no type; a structural schema needs one at every node")
    if RULES in node:
        node[RULES] = [{k: rule[k] for k in sorted(rule, key=_RULE_KEYS.index)} for rule in node[RULES]]
    return {k: node[k] for k in _KEYWORDS if k in node}


def _check(node: Schema, path: str, *, under_rule: bool) -> None:
    """Refuse what the API server's CEL cost limit, or a reader of `kubectl explain`, would trip over."""
    under_rule = under_rule or RULES in node
    missing = _missing_bound(node)
    if missing and (under_rule or _has_rule(node)):
        raise SchemaError(f"{path}: no {missing}, and CEL rules are charged for the largest value; set max_length")
    for name, child in node.get("properties", {}).items():
        if not child.get("description"):
            raise SchemaError(f"{path}.{name}: no description; kubectl explain would show nothing")
        _check(child, f"{path}.{name}", under_rule=under_rule)
    if "items" in node:
        _check(node["items"], f"{path}[]", under_rule=under_rule)
    if "additionalProperties" in node:
        _check(node["additionalProperties"], f"{path}{{}}", under_rule=under_rule)


def _missing_bound(node: Schema) -> str | None:
    match node.get("type"):
        case "string" if not ({"maxLength", "enum"} & node.keys() or node.get("format") in _SHORT_FORMATS):
            return "maxLength"
        case "array" if "maxItems" not in node:
            return "maxItems"
        case "object" if "additionalProperties" in node and "maxProperties" not in node:
            return "maxProperties"
    return None


def _has_rule(node: Schema) -> bool:
    children = [*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")]
    return RULES in node or any(_has_rule(child) for child in children if child)
