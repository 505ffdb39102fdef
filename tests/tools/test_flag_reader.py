import argparse
import json
from collections.abc import Callable
from typing import Any

import pytest

from tools.flags.reader import options


def optional_type(return_type: Callable[[str], Any]) -> Callable[[str], Any]:
    def _optional_type(value: str) -> Any:
        return return_type(value) if value else None

    return _optional_type


def human_readable_int(value: str) -> int:
    return int(value)


class EnableDisableAction(argparse.BooleanOptionalAction):
    def __init__(self, option_strings: list[str], dest: str) -> None:
        super().__init__(option_strings, dest)
        self.negative_option_strings = {"--no-enable-x", "--disable-x"}
        self.option_strings = [*self.option_strings, "--disable-x"]


def read(*names: str, **arguments: Any) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument(*names, **arguments)
    (row,) = options(parser)
    return row


@pytest.mark.parametrize(
    ("names", "arguments", "row"),
    [
        (["--a"], {}, {"flag": "--a", "kind": "value", "type": "str"}),
        (["-a", "--a", "--b"], {}, {"flag": "--a", "aliases": ["-a", "--b"], "kind": "value", "type": "str"}),
        (["--a"], {"default": 3, "type": int}, {"flag": "--a", "kind": "value", "type": "int", "default": 3}),
        (["--a"], {"default": {2, 1}}, {"flag": "--a", "kind": "value", "type": "str", "default": [1, 2]}),
        (["--a"], {"default": object()}, {"flag": "--a", "kind": "value", "type": "str"}),
        (["--a"], {"type": json.loads, "nargs": "+"}, {"flag": "--a", "kind": "value", "type": "json", "nargs": "+"}),
        (["--a"], {"choices": ["x", None]}, {"flag": "--a", "kind": "value", "type": "str", "choices": ["x", None]}),
        (["--a"], {"action": "append"}, {"flag": "--a", "kind": "value", "type": "str", "repeat": True}),
        (["--a"], {"action": "store_true"}, {"flag": "--a", "kind": "bool", "default": False}),
        (["--a"], {"action": argparse.BooleanOptionalAction}, {"flag": "--a", "kind": "bool-pair"}),
        (
            ["--enable-x"],
            {"action": EnableDisableAction},
            {"flag": "--enable-x", "kind": "bool-pair", "inverse": ["--disable-x"]},
        ),
        (
            ["--a"],
            {"type": optional_type(human_readable_int)},
            {"flag": "--a", "kind": "value", "type": "human-int", "optional": True},
        ),
        (
            ["--a"],
            {"type": lambda text: text.lower().replace("-", "_")},
            {"flag": "--a", "kind": "value", "type": "snake-case"},
        ),
        (["--a"], {"type": lambda text: text.split(",")}, {"flag": "--a", "kind": "value", "type": "str"}),
    ],
)
def test_an_option_as_a_row(names: list[str], arguments: dict[str, Any], row: dict[str, Any]) -> None:
    assert read(*names, **arguments) == row


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "count"}, "--a: no rule for options of the kind _CountAction"),
        ({"type": complex}, "no rule for values of the type complex"),
    ],
)
def test_what_has_no_rule_is_not_guessed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        read("--a", **arguments)
