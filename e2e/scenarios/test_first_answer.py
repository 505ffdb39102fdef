"""From a manifest of ten lines to an answer of the real vLLM, and what kubectl tells on the way."""

import pytest

from e2e.harness.namespace import Namespace

pytestmark = pytest.mark.vllm

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: support
spec:
  model:
    uri: image:///models/tiny
  engine:
    version: 0.32.0
    image: $engine
    maxModelLen: 1024
    enforceEager: true
    kvCacheMemory: 1Gi
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 200m, memory: 2Gi}
      limits: {memory: 6Gi}
"""


def test_an_applied_manifest_becomes_a_service_that_answers(chat: Namespace) -> None:
    chat.apply(MANIFEST)

    starting = chat.becomes("support", "Available", "Starting", within=15)
    assert starting.message == "the engine is starting: image, weights, compilation, warm-up"
    ready = chat.becomes_ready("support", within=240)
    assert ready.message == f"1 of 1 replicas answer on http://support.{chat.name}.svc"

    with chat.service("support") as service:
        assert service.models() == ["support"]

        answer = service.chat("support", "What is a fleet?", max_tokens=8)
        assert answer["object"] == "chat.completion"
        assert answer["choices"][0]["message"]["role"] == "assistant"
        assert 1 <= answer["usage"]["completion_tokens"] <= 8

        chunks = list(service.chat_stream("support", "What is a fleet?", max_tokens=8))
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert chunks[-1]["choices"][0]["finish_reason"] in {"length", "stop"}

    header, row = chat.kubectl("get", "slm").splitlines()
    assert header.split() == ["NAME", "MODEL", "READY", "DESIRED", "GPUS", "PHASE", "AGE"]
    assert row.split()[:6] == ["support", "image:///models/tiny", "1/1", "1", "0", "Ready"]
    wide_header, wide_row = chat.kubectl("get", "slm", "-o", "wide").splitlines()
    assert wide_header.split()[-3:] == ["URL", "ENGINE", "REASON"]
    assert wide_row.split()[-3:] == [f"http://support.{chat.name}.svc", "0.32.0", "Ready"]

    story = chat.eventually(lambda: _described(chat, "replicas answer on http://support."), "the events tell the story")
    for phrase in (
        "Image:    ",
        "the spec is valid and its objects are ours",
        "1 of 1 replicas answer",
        "all 1 replicas have the current template",
    ):
        assert phrase in story
    events = story.partition("\nEvents:")[2]
    for reason in ("Accepted", "Starting", "AtLeastOneReady", "UpToDate", "Ready"):
        assert f" {reason} " in events
    assert "Warning" not in events


def _described(chat: Namespace, phrase: str) -> str:
    story = chat.kubectl("describe", "slm", "support")
    assert phrase in story.partition("\nEvents:")[2], story
    return story
