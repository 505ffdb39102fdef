import pytest
from pydantic import ValidationError

from slmfleet.api.adapter_facts import AdapterFacts

HEX = "3f2a9c1b7d20" + 52 * "0"
TOLD = {"digest": f"sha256:{HEX}", "bytes": 5, "base": "a/b", "rank": 8, "ranks": [8, 16], "targets": ["q_proj"]}


def test_facts_are_read_as_the_fetcher_and_the_guard_tell_them() -> None:
    read = AdapterFacts.read(TOLD | {"modulesToSave": [], "shapes": {}, "newer": 1}, "k", "/adapters/{hex}")
    assert read == AdapterFacts(
        key="k", digest=f"sha256:{HEX}", path=f"/adapters/{HEX}", size=5, base="a/b", rank=16, targets=["q_proj"]
    )


@pytest.mark.parametrize("told", [None, [], "x", {}, {"digest": "sha256:../../etc"}, TOLD | {"base": 7}])
def test_what_is_no_fact_is_refused(told: object) -> None:
    with pytest.raises(ValidationError):
        AdapterFacts.read(told, "k", "/adapters/{hex}")
