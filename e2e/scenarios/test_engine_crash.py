"""The real vLLM refuses to start: its own message reaches status and `kubectl describe`."""

import secrets
from collections.abc import Iterator

import pytest

from e2e.harness.images import Images
from e2e.harness.installation import Installation
from e2e.harness.namespace import ENGINE_SECONDS, Condition, Namespace, namespace

pytestmark = pytest.mark.vllm

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: unknown
spec:
  model:
    uri: image:///models/tiny
  engine:
    version: 0.32.0
    image: $engine
    maxModelLen: 4096
    enforceEager: true
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 200m, memory: 2Gi}
      limits: {memory: 6Gi}
    env:
      - {name: VLLM_CPU_KVCACHE_SPACE, value: "1"}
"""
# The model pretends to know four million positions; the KV cache of 1 GiB holds one million tokens.
LONG_CONTEXT = {
    "maxModelLen: 4096": "maxModelLen: 2097152",
    "enforceEager: true": """enforceEager: true
    extraArgs: [--hf-overrides, '{"max_position_embeddings": 4194304}']""",
}


@pytest.fixture(scope="module")
def chat(operator: Installation, images: Images) -> Iterator[Namespace]:
    """Both fail side by side: a real engine takes a minute to give up."""
    small = MANIFEST.replace("name: unknown", "name: small")
    for short, long in LONG_CONTEXT.items():
        small = small.replace(short, long)
    with namespace(operator.cluster, images, f"engine-crash-{secrets.token_hex(2)}") as chat:
        chat.apply(f"{MANIFEST}---{small}")
        yield chat


def test_a_context_longer_than_the_model_knows_is_told_in_the_engines_words(chat: Namespace) -> None:
    cause = "User-specified max_model_len (4096) is greater than the derived max_model_len"
    crash = _crash(chat, "unknown", cause)

    (pod,) = chat.pods("unknown")
    assert crash.message.startswith(f"pod {pod['metadata']['name']}: the engine exited with 1: ")
    assert "max_position_embeddings=2048" in crash.message
    assert crash.message.endswith("(lower spec.engine.maxModelLen to what the model supports, or leave it out)")
    _is_told(chat, "unknown", "User-specified max_model_len (4096)")


def test_a_kv_cache_too_small_for_one_request_is_told_in_the_engines_words(chat: Namespace) -> None:
    crash = _crash(chat, "small", "To serve at least one request with the model's max seq len (2097152)")

    assert "KV cache" in crash.message
    assert "lower spec.engine.maxModelLen" in crash.message
    _is_told(chat, "small", "To serve at least one request with the model's max seq len (2097152)")


def _crash(chat: Namespace, slm: str, cause: str) -> Condition:
    """Wait until the condition tells the cause: where the log could not be had it is the exit code, for a minute."""

    def told() -> Condition:
        crash = chat.condition(slm, "Available")
        assert crash.reason == "CrashLoop", " ".join(crash)
        assert cause in crash.message, crash.message
        return crash

    return chat.eventually(told, f"{slm}: the engine's end is told with its cause", ENGINE_SECONDS)


def _is_told(chat: Namespace, slm: str, phrase: str) -> None:
    """In the column, in the conditions and in the events."""
    assert chat.get("slm", slm)["status"]["phase"] == "Failed"
    assert chat.kubectl("get", "slm", slm, "-o", "wide").split()[-1] == "CrashLoop"

    def told() -> bool:
        story, _, events = chat.kubectl("describe", "slm", slm).partition("\nEvents:")
        return phrase in " ".join(story.split()) and phrase in events

    chat.eventually(told, "`kubectl describe` tells it in conditions and events")
