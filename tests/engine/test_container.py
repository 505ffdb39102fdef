import pytest

from slmfleet.engine.container import local_claim, model_argument


@pytest.mark.parametrize(
    ("uri", "argument", "claim"),
    [
        ("hf://Qwen/Qwen3-8B", "Qwen/Qwen3-8B", None),
        ("image:///models/tiny", "/models/tiny", None),
        ("pvc://models/llama/8b", "/pvc/llama/8b", "models"),
        ("pvc://models", "/pvc", "models"),
    ],
)
def test_where_the_engine_finds_the_model(uri: str, argument: str, claim: str | None) -> None:
    assert (model_argument(uri), local_claim(uri)) == (argument, claim)
