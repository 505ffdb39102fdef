import pytest

from slmfleet.api.describe import description
from slmfleet.api.engine_flags import FIELD_FLAGS


def test_a_field_inside_an_optional_one_is_found() -> None:
    assert description("spec.engine.speculative.secretRef.name") == "Name of the object in this namespace."


@pytest.mark.parametrize("path", ["spec.engine.nothing", "spec.replicas.inside", "spec.engine.version.inside", ""])
def test_a_path_that_is_none_has_no_description(path: str) -> None:
    assert description(path) == ""


@pytest.mark.parametrize("field", sorted(set(FIELD_FLAGS.values())))
def test_a_flag_that_is_refused_for_its_field_has_that_field(field: str) -> None:
    assert description(f"spec.engine.{field}")
