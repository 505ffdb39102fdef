"""The generated pages of docs/reference: every field of every kind, and the built-in accelerators."""

from collections.abc import Iterator
from typing import Any, Final

from slmfleet.api import catalogue

Schema = dict[str, Any]

_CATALOGUE_INTRO: Final = (
    "`spec.accelerator.class` takes one of these names, or that of an AcceleratorClass object, which wins. "
    "Peak dense throughput, without sparsity. Memory is what the driver reports, not what the box says. "
    "There are no prices: set `costPerHour` in an AcceleratorClass of your own."
)
_BOUNDS: Final = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} keys"),
    ("pattern", "matches `{}`"),
)


def api_page(manifests: list[dict[str, Any]], header: str) -> str:
    """The API reference: one section per kind, one row per field, and the rules that the API server enforces."""
    lines = [f"<!-- {header} -->", "", "# API reference", ""]
    lines += ["Group `slmfleet.dev`, version `v1alpha1`. The same texts: `kubectl explain slm.spec --recursive`.", ""]
    for manifest in manifests:
        names = manifest["spec"]["names"]
        schema = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        scope = manifest["spec"]["scope"].lower()
        lines += [f"## {names['kind']}", "", schema["description"], ""]
        lines += [f"`kubectl get {names['shortNames'][0]}`; {scope} scope.", ""]
        for part in ("spec", "status"):
            if part in schema["properties"]:
                lines += [f"### {names['kind']} {part}", "", *_table(schema["properties"][part], part), ""]
        lines += _rules(schema)
    return "\n".join(lines).rstrip() + "\n"


def _table(schema: Schema, path: str) -> list[str]:
    rows = ["| field | type | default | what it is |", "|---|---|---|---|"]
    for name, field, required in _fields(schema, path):
        default = "required" if required else _code(field["default"]) if "default" in field else ""
        bounds = _bounds(field)
        text = field["description"] + (f" ({bounds})" if bounds else "")
        rows.append(f"| `{name}` | {_type(field)} | {default} | {_cell(text)} |")
    return rows


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field, name in schema.get("required", ())
        yield from _fields(field, f"{path}.{name}")
        yield from _fields(field.get("items", {}), f"{path}.{name}[]")


def _type(field: Schema) -> str:
    if "items" in field:
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    return str(field.get("type", "integer or string"))


def _bounds(field: Schema) -> str:
    # A value of no characters needs no words.
    said = {key: value for key, value in field.items() if not (key == "minLength" and value == 1)}
    return ", ".join(words.format(said[key]) for key, words in _BOUNDS if key in said)


def _rules(schema: Schema) -> list[str]:
    lines = [
        f"- `{(path + rule.get('fieldPath', '')).lstrip('.')}`: {rule['message']}"
        for path, node in _nodes(schema, "")
        for rule in node.get("x-kubernetes-validations", ())
    ]
    if not lines:
        return []
    return ["The API server also refuses what breaks one of these rules:", "", *lines, ""]


def _nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}" if path else name)
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from _nodes(schema[key], path + suffix)


def _code(value: object) -> str:
    return "`true`" if value is True else "`false`" if value is False else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def accelerators_page(header: str) -> str:
    """The built-in catalogue with the source of each row."""
    lines = [
        f"<!-- {header} -->",
        "",
        "# Built-in accelerators",
        "",
        _CATALOGUE_INTRO,
        "",
        "| name | resource | memory | bandwidth GB/s | FP16 TFLOPS | FP8 TFLOPS | compute capability | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in catalogue.ENTRIES:
        spec = entry.spec
        cells = (
            f"`{entry.name}`",
            spec.resource_name,
            spec.memory,
            spec.memory_bandwidth_gbps,
            spec.fp16_tflops,
            spec.fp8_tflops,
            spec.compute_capability,
            entry.source,
        )
        lines.append("| " + " | ".join("" if cell is None else _cell(str(cell)) for cell in cells) + " |")
    lines += ["", "## Nodes", "", "A replica lands on nodes with one of these labels:", ""]
    for entry in catalogue.ENTRIES:
        for term in entry.spec.node_terms or ():
            for need in term.match_expressions:
                values = ", ".join(f"`{value}`" for value in need.values or ())
                lines.append(f"- `{entry.name}`: `{need.key}` in {values}")
    return "\n".join(lines) + "\n"
