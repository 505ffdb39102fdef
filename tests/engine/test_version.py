import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.engine.version import EngineVersion


def test_versions_sort_by_number_and_candidates_come_before_their_release() -> None:
    texts = ["0.9.2", "0.11.0", "0.18.0rc1", "0.18.0rc2", "0.18.0", "0.18.0.post1", "0.18.1", "1.0.0"]
    assert sorted(texts, key=EngineVersion.parse) == texts


@pytest.mark.parametrize("text", ["", "0.32", "v0.32.0", "0.32.0+cpu", "0.32.0-rc1", "latest"])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a release of vLLM such as"):
        EngineVersion.parse(text)


NUMBER = st.integers(0, 200)


@given(st.tuples(NUMBER, NUMBER, NUMBER), st.tuples(NUMBER, NUMBER, NUMBER))
def test_releases_compare_as_their_numbers(a: tuple[int, int, int], b: tuple[int, int, int]) -> None:
    def parse(parts: tuple[int, int, int]) -> EngineVersion:
        return EngineVersion.parse(".".join(map(str, parts)))

    assert (parse(a) < parse(b)) == (a < b)
    assert (parse(a) == parse(b)) == (a == b)
