import os

import pytest

from slmfleet.runtime.settings import PREFIX, SettingsError, load


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    for variable in list(os.environ):
        if variable.startswith(PREFIX) or variable == "KUBECONFIG":
            monkeypatch.delenv(variable)


def test_the_defaults_need_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load()
    assert settings.namespaces == ()
    assert settings.leader_election is True
    assert settings.images == {
        "cuda": "vllm/vllm-openai:v{version}",
        "rocm": "vllm/vllm-openai-rocm:v{version}",
        "cpu": "vllm/vllm-openai-cpu:v{version}",
    }


@pytest.mark.parametrize(("text", "expected"), [("", ()), ("chat", ("chat",)), ("chat, rag,", ("chat", "rag"))])
def test_namespaces_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SLMFLEET_NAMESPACES", text)
    assert load().namespaces == expected


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SLMFLEET_WORKERS", "many", "SLMFLEET_WORKERS='many': input should be a valid integer"),
        ("SLMFLEET_WORKERS", "0", "SLMFLEET_WORKERS='0': input should be greater than or equal to 1"),
        ("SLMFLEET_PORT", "99999", "SLMFLEET_PORT='99999': input should be less than or equal to 65535"),
        ("SLMFLEET_LOG_FORMAT", "xml", "SLMFLEET_LOG_FORMAT='xml': input should be 'json' or 'text'"),
        ("SLMFLEET_NAMESPACES", "Chat", "SLMFLEET_NAMESPACES='Chat': string should match pattern"),
        (
            "SLMFLEET_IMAGE_CUDA",
            "registry/vllm:latest",
            "SLMFLEET_IMAGE_CUDA='registry/vllm:latest': write the image with {version} where",
        ),
        (
            "SLMFLEET_IMAGE_CPU",
            "r/{platform}:{version}",
            "SLMFLEET_IMAGE_CPU='r/{platform}:{version}': write the image",
        ),
    ],
)
def test_a_bad_value_names_the_variable_the_value_and_the_reason(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert message in str(caught.value)


def test_all_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLMFLEET_WORKERS", "x")
    monkeypatch.setenv("SLMFLEET_PORT", "y")
    with pytest.raises(SettingsError, match=r"SLMFLEET_WORKERS='x'.*; SLMFLEET_PORT='y'"):
        load()
