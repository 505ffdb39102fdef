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


def test_every_engine_lets_in_the_operators_pods_and_the_scrapers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLMFLEET_POD_NAMESPACE", "slmfleet-system")
    monkeypatch.setenv("SLMFLEET_POD_LABELS", "app.kubernetes.io/name=slmfleet,app.kubernetes.io/component=operator")
    monkeypatch.setenv("SLMFLEET_METRICS_SCRAPERS", '[{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]')
    assert [peer.to_manifest() for peer in load().peers] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "slmfleet-system"}},
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/name": "slmfleet",
                    "app.kubernetes.io/component": "operator",
                }
            },
        },
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
    ]


def test_an_operator_that_runs_in_no_pod_opens_nothing_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLMFLEET_METRICS_SCRAPERS", "")
    assert load().peers == ()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SLMFLEET_WORKERS", "many", "SLMFLEET_WORKERS='many': input should be a valid integer"),
        ("SLMFLEET_WORKERS", "0", "SLMFLEET_WORKERS='0': input should be greater than or equal to 1"),
        ("SLMFLEET_PORT", "99999", "SLMFLEET_PORT='99999': input should be less than or equal to 65535"),
        ("SLMFLEET_LOG_FORMAT", "xml", "SLMFLEET_LOG_FORMAT='xml': input should be 'json' or 'text'"),
        ("SLMFLEET_NAMESPACES", "Chat", "SLMFLEET_NAMESPACES='Chat': string should match pattern"),
        ("SLMFLEET_POD_LABELS", "slmfleet", "SLMFLEET_POD_LABELS='slmfleet': write labels as a=b, separated by commas"),
        ("SLMFLEET_POD_LABELS", "a b=c", "SLMFLEET_POD_LABELS='a b': string should match pattern"),
        ("SLMFLEET_METRICS_SCRAPERS", "[", "SLMFLEET_METRICS_SCRAPERS='[': write a list of peers in JSON: "),
        ("SLMFLEET_METRICS_SCRAPERS", '[{"pods": {}}]', "extra inputs are not permitted"),
        ("SLMFLEET_METRICS_SCRAPERS", "[{}]", "[0]: takes either ipBlock, or podSelector and namespaceSelector"),
        (
            "SLMFLEET_METRICS_SCRAPERS",
            '[{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]',
            "[0]: takes either ipBlock, or podSelector and namespaceSelector",
        ),
        (
            "SLMFLEET_METRICS_SCRAPERS",
            '[{"ipBlock": {"cidr": "10.0.0.1/8"}}]',
            '[0].ipBlock.cidr: "10.0.0.1/8": has bits behind its prefix: write the block\'s first address',
        ),
        (
            "SLMFLEET_METRICS_SCRAPERS",
            '[{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]',
            "[0].ipBlock.except: an exception must lie within cidr and be smaller",
        ),
        (
            "SLMFLEET_METRICS_SCRAPERS",
            '[{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["2001:db8::/32"]}}]',
            "[0].ipBlock.except: an exception must lie within cidr and be smaller",
        ),
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
