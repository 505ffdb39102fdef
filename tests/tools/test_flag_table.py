import json
from typing import Any

import pytest

from tools.flags.table import Release, agreed, joined, written

A: dict[str, Any] = {"flag": "--a", "kind": "value", "type": "int"}
B: dict[str, Any] = {"flag": "--b", "kind": "bool"}


def test_a_row_holds_while_nothing_changes() -> None:
    wide = A | {"type": "float"}
    releases = [("1", {"--a": A}), ("2", {"--a": A, "--b": B}), ("3", {"--a": wide}), ("4", {"--a": wide, "--b": B})]
    assert joined(releases) == [
        {"flag": "--a", "since": "1", "until": "2", "kind": "value", "type": "int"},
        {"flag": "--a", "since": "3", "kind": "value", "type": "float"},
        {"flag": "--b", "since": "2", "until": "2", "kind": "bool"},
        {"flag": "--b", "since": "4", "kind": "bool"},
    ]


def test_a_default_or_choices_on_which_platforms_differ_are_left_out() -> None:
    assert agreed(
        [
            [A | {"default": 1, "choices": ["cpu"]}, B],
            [A | {"default": 1, "choices": ["cpu", "cuda"]}, B],
            [A | {"choices": ["cpu", "cuda"]}, B],
        ]
    ) == [A, B]


@pytest.mark.parametrize(
    ("other", "message"),
    [([A], "not an option on every platform: --b"), ([A | {"kind": "bool"}, B], "--a differs between platforms: kind")],
)
def test_platforms_must_have_the_same_options(other: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agreed([[A, B], other])


def test_the_file_has_registered_values_of_options_without_choices_and_says_what_was_not_read() -> None:
    values: dict[str, list[Any]] = {"--a": [1, 2], "--c": ["x"]}
    read = Release("1", "v-1.tar.gz", "ab", [A, {"flag": "--c", "choices": ["y"]}], values)
    table = json.loads(written([read, Release("2", "v-2.tar.gz", "cd", problem="cpu: no parser")]))
    assert table["releases"] == [
        {"version": "1", "options": 2, "archive": "v-1.tar.gz", "sha256": "ab"},
        {"version": "2", "options": 0, "archive": "v-2.tar.gz", "sha256": "cd", "incomplete": "cpu: no parser"},
    ]
    assert [row["flag"] for row in table["flags"]] == ["--a", "--c"]
    assert table["values"] == [{"flag": "--a", "since": "1", "until": "1", "values": [1, 2]}]
