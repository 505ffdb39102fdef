from typing import Any

import pytest

from tests.engine.resolving import adjusted, resolved, words


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ({"maxNumSeqs": 256}, ["--max-num-seqs", "256"]),
        ({"maxNumBatchedTokens": 8192}, ["--max-num-batched-tokens", "8192"]),
        ({"chunkedPrefill": True}, ["--enable-chunked-prefill"]),
        ({"chunkedPrefill": False}, ["--no-enable-chunked-prefill"]),
        ({"schedulingPolicy": "FCFS"}, ["--scheduling-policy", "fcfs"]),
        ({"schedulingPolicy": "Priority"}, ["--scheduling-policy", "priority"]),
        ({"enforceEager": True}, ["--enforce-eager"]),
        ({"enforceEager": False}, ["--no-enforce-eager"]),
        ({"optimizationLevel": 0}, ["--optimization-level", "0"]),
    ],
)
@pytest.mark.parametrize("version", ["0.12.0", "0.33.0"])
def test_a_field_becomes_its_flag(version: str, engine: dict[str, Any], expected: list[str]) -> None:
    found = resolved(version, **engine)
    assert words(found, *engine) == expected
    assert not found.problems
    assert not adjusted(found)


def test_without_fields_the_engine_decides() -> None:
    assert not any(argument.field.startswith("spec.engine") for argument in resolved().arguments)


def test_an_engine_without_optimization_levels_runs_as_it_does() -> None:
    found = resolved("0.11.2", optimizationLevel=3)
    assert words(found, "optimizationLevel") == []
    assert adjusted(found)["optimizationLevel"].endswith(
        "vLLM 0.11.2 has no --optimization-level (0.12.0 and later have it)"
    )
