"""What `slmfleet explain` says, for people: tables of plain text, the same in a terminal and in a pipe."""

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

Told = dict[str, Any]

WIDTH = 120
GAP = "  "
_SENTENCE = re.compile(r"(?<!\.)\. (?=[A-Z])")


def explanation_text(told: Told) -> str:
    """One fleet: its flags, its variables, and what is to be said about them."""
    lines = [
        f"{told['namespace']}/{told['name']}: vLLM {told['version']} on {told['accelerator']} ({told['platform']})"
    ]
    lines += _table(("FLAG", "VALUE", "FROM", "FIELD", "SINCE", "WHAT FOR"), map(_flag_row, told["arguments"]))
    lines += _section("Environment", _table(("NAME", "VALUE", "WHAT FOR"), map(_variable_row, told["environment"])))
    return "\n".join([*lines, *_remarks(told), ""])


def difference_text(told: Told) -> str:
    """What another release changes for one fleet."""
    lines = [f"{told['namespace']}/{told['name']}: from vLLM {told['from']} to {told['to']} on {told['accelerator']}"]
    changes = [*told["arguments"], *told["environment"]]
    rows = [(c["name"], _absent(c["before"]), _absent(c["after"]), c["field"]) for c in changes]
    lines += _section("Arguments and variables", _table(("NAME", told["from"], told["to"], "FIELD"), rows))
    defaults = [(d["flag"], _default(d["before"]), _default(d["after"]), d["field"] or "") for d in told["defaults"]]
    lines += _section(
        "Defaults of flags that the spec leaves alone", _table(("FLAG", told["from"], told["to"], "FIELD"), defaults)
    )
    if not changes and not defaults:
        lines.append("the engine gets the same arguments and has the same defaults")
    return "\n".join([*lines, *_remarks(told), ""])


def _flag_row(argument: Told) -> tuple[str, ...]:
    until = f" to {argument['until']}" if argument.get("until") else ""
    since = f"{argument.get('since', '')}{until}"
    purpose = _SENTENCE.split(argument["why"], maxsplit=1)[0].rstrip(".")
    return argument["flag"], argument["value"], argument["origin"], argument.get("field", ""), since, purpose


def _variable_row(variable: Told) -> tuple[str, ...]:
    return variable["name"], variable["value"], variable["why"]


def _remarks(told: Told) -> list[str]:
    adjusted = [f"{a['field']}: {a['why']}" for a in told["adjusted"]]
    memory = told.get("hostMemoryBytes", 0)
    host = [f"{memory / 1024**3:.4g} GiB, added to the pod's memory request"] if memory else []
    return [
        *_section("Host memory", _list(host)),
        *_section("Adjusted", _list(adjusted)),
        *_section("Notes", _list(told["notes"])),
        *_section("Refused", _list(told["refused"])),
    ]


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}:", *lines] if lines else []


def _list(texts: Iterable[str]) -> list[str]:
    return [
        line
        for text in texts
        for line in textwrap.wrap(text, WIDTH - 2, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as they need; the last one goes on below itself."""
    cells = [tuple(row) for row in rows]
    if not cells:
        return []
    widths = [max(len(row[column]) for row in (head, *cells)) for column in range(len(head) - 1)]
    indent = sum(widths) + len(GAP) * len(widths)
    lines = []
    for row in (head, *cells):
        start = "".join(f"{cell:<{width}}{GAP}" for cell, width in zip(row, widths, strict=False))
        last = textwrap.wrap(row[-1], max(40, WIDTH - indent), break_on_hyphens=False) or [""]
        lines += [f"{start}{last[0]}".rstrip(), *(" " * indent + more for more in last[1:])]
    return lines


def _absent(value: str | None) -> str:
    return "-" if value is None else value or "set"


def _default(value: object) -> str:
    return "decided later" if value is None else value if isinstance(value, str) else json.dumps(value)
