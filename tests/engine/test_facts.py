import pytest

from slmfleet.engine import facts
from slmfleet.engine.flags import FlagTable
from slmfleet.engine.releases import Span
from slmfleet.engine.version import EngineVersion

TABLE = FlagTable.load()


def release(text: str) -> EngineVersion:
    return EngineVersion.parse(text)


@pytest.mark.parametrize(
    ("span", "version", "held"),
    [
        (Span(), "0.11.0", True),
        (Span("0.18.0"), "0.17.1", False),
        (Span("0.18.0"), "0.18.0rc1", True),
        (Span(until="0.23.0"), "0.23.0.post1", True),
        (Span(until="0.23.0"), "0.23.1", False),
    ],
)
def test_a_candidate_and_a_post_release_count_as_their_release(span: Span, version: str, held: bool) -> None:
    assert span.holds(release(version)) == held


@pytest.mark.parametrize(("version", "capability"), [("0.13.0", (8, 0)), ("0.14.0", (7, 5)), ("0.33.0", (7, 5))])
def test_what_a_quantization_needs_changes_with_the_release(version: str, capability: tuple[int, int]) -> None:
    assert facts.min_capability("fp8", release(version)) == capability


def test_of_an_unknown_quantization_nothing_is_known() -> None:
    assert facts.min_capability("none-of-them", release("0.32.0")) is None


@pytest.mark.parametrize("version", TABLE.releases, ids=str)
def test_what_rocm_loads_is_known_to_the_release(version: EngineVersion) -> None:
    known = TABLE.for_version(version).values("--quantization")
    assert known is not None
    assert set(facts.rocm_quantizations(version)) <= set(known)


@pytest.mark.parametrize(("word", "plugin"), facts.PLUGINS.items())
def test_what_became_a_plugin_is_in_the_last_release_that_had_it_and_in_no_later_one(
    word: str, plugin: facts.Plugin
) -> None:
    having = [v for v in TABLE.releases if word in (TABLE.for_version(v).values("--quantization") or ())]
    assert str(having[-1]) == plugin.last_in_vllm
