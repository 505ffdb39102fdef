"""The real vLLM through a fleet's life: its first answer, who may administer it, a rollout under load to an engine with
all that its fields can say.

One fleet serves all tests, which run in this order: a real engine takes a minute to start.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from e2e.harness.clients import Tally, clients
from e2e.harness.images import Images
from e2e.harness.installation import Installation
from e2e.harness.namespace import ENGINE_SECONDS, Condition, Namespace, namespace

pytestmark = pytest.mark.vllm

KEY = "only-for-this-test"
TEMPLATE = "Question: {{ messages[-1]['content'] }} Answer:"
REFERENCES = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: templates}}
data: {{chat.jinja: "{TEMPLATE}"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: keys}}
stringData: {{api: {KEY}}}
"""
HEAD = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: support
spec:
  model:
    uri: image:///models/tiny
  accelerator:
    class: cpu
  drain:
    timeout: 60s
  pod:
    resources:
      requests: {cpu: 200m, memory: 2Gi}
      limits: {memory: 6Gi}
    env:
      - {name: VLLM_ALLOW_RUNTIME_LORA_UPDATING, value: "1"}
  engine:
    version: 0.32.0
    image: $engine
"""
PLAIN = """
    maxModelLen: 1024
    enforceEager: true
    kvCacheMemory: 512Mi
    lora: {maxRank: 16}
"""
EVERYTHING = """
    startTimeout: 10m
    dtype: bfloat16
    loadFormat: safetensors
    tokenizer: {uri: "image:///models/tiny"}
    trustRemoteCode: false
    maxModelLen: 1000
    kvCacheDtype: bfloat16
    kvCacheMemory: 512Mi
    prefixCaching: true
    kvOffload: {size: 64Mi}
    cpuOffload: {size: 64Mi}
    maxNumSeqs: 16
    maxNumBatchedTokens: 1024
    chunkedPrefill: true
    schedulingPolicy: Priority
    enforceEager: true
    optimizationLevel: 0
    task: Generate
    speculative: {method: ngram, tokens: 3, promptLookupMin: 2, promptLookupMax: 4}
    lora: {maxAdapters: 2, maxRank: 16, maxCpuAdapters: 4}
    toolCallParser: hermes
    reasoningParser: qwen3
    chatTemplate: {configMapRef: {name: templates, key: chat.jinja}}
    apiKeySecretRef: {name: keys, key: api}
    extraArgs: [--max-logprobs, "10"]
"""
LEFT_OUT = {
    "spec.engine.kvOffload": "left out: on CPUs the KV cache is in host memory already; set kvCacheMemory",
    "spec.engine.cpuOffload": "left out: on CPUs the weights are in host memory already",
}
PROMPT = {"model": "support", "prompt": "hello"}
CHAT = {"model": "support", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
CLOSED: list[tuple[str, object, int]] = [
    # path, body -> vLLM's own answer
    ("/invocations", PROMPT | {"max_tokens": 2}, 200),
    ("/adapters", {"name": "legal", "src": "/nope"}, 404),
    ("/tokenize", PROMPT, 200),
    ("/v1/load_lora_adapter", {"lora_name": "legal", "lora_path": "/nope"}, 404),
]


@dataclass(frozen=True)
class Fleet:
    """One replica that answers, and what was said on the way there."""

    chat: Namespace
    starting: Condition
    ready: Condition


@pytest.fixture(scope="module")
def fleet(operator: Installation, images: Images) -> Iterator[Fleet]:
    with namespace(operator.cluster, images, f"real-engine-{secrets.token_hex(2)}") as chat:
        chat.apply(HEAD + PLAIN)
        starting = chat.becomes("support", "Available", "Starting")
        yield Fleet(chat, starting, chat.becomes_ready("support", within=ENGINE_SECONDS))


@pytest.fixture(scope="module")
def rolled(fleet: Fleet) -> Tally:
    """What clients have met while the replica was replaced by one with everything."""
    chat = fleet.chat
    (before,) = chat.pods("support")
    chat.apply(REFERENCES)
    with (
        chat.service("support") as service,
        # Few and slow: on two saturated cores a replica takes minutes to start.
        clients(
            replace(service, key=KEY), "support", streaming=3, busy=2, idle=3, pause=2.0, lengths=(5, 20, 80)
        ) as tally,
    ):
        chat.apply(HEAD + EVERYTHING)
        chat.becomes("support", "Progressing", "UpToDate", within=ENGINE_SECONDS)
        chat.eventually(lambda: len(chat.objects("pod")) == 1, "the old pod is gone")
        assert before["metadata"]["name"] != chat.pods("support")[0]["metadata"]["name"]
    return tally


def test_an_applied_manifest_becomes_a_service_that_answers(fleet: Fleet) -> None:
    chat = fleet.chat
    assert fleet.starting.message == "the engine is starting: image, weights, compilation, warm-up"
    assert fleet.ready.message == f"1 of 1 replicas answer on http://support.{chat.name}.svc"
    assert chat.condition("support", "EngineCompatible").reason == "Compatible"

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


def test_kubectl_tells_how_it_came_about(fleet: Fleet) -> None:
    chat = fleet.chat
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


@pytest.mark.parametrize(("path", "body", "status"), CLOSED)
def test_the_token_alone_opens_what_administers(fleet: Fleet, path: str, body: object, status: int) -> None:
    with fleet.chat.service("support") as service:
        refused, error = service.call("POST", path, body)
        assert (refused, error["error"]["type"]) == (403, "PermissionDeniedError")
        assert service.call("POST", path, body, X_Slmfleet_Token=fleet.chat.guard_token("support"))[0] == status


def test_no_request_is_lost_on_the_way_to_another_engine(rolled: Tally) -> None:
    assert rolled.failures == [], f"{rolled}: {rolled.failures[:5]}"
    assert rolled.told >= 4, str(rolled)


@pytest.mark.usefixtures("rolled")
def test_an_engine_with_all_its_fields_does_what_they_say(fleet: Fleet) -> None:
    chat = fleet.chat
    chat.becomes_ready("support")
    assert chat.condition("support", "EngineCompatible").reason == "FlagsAdjusted"
    adjusted = chat.get("slm", "support")["status"]["engine"]["adjusted"]
    assert {each["field"]: each["why"] for each in adjusted} == LEFT_OUT
    (pod,) = chat.pods("support")
    assert KEY not in " ".join(pod["spec"]["containers"][0]["args"])

    with chat.service("support") as service:
        assert service.call("POST", "/v1/chat/completions", CHAT)[0] == 401
        assert replace(service, key="another").call("POST", "/v1/chat/completions", CHAT)[0] == 401
        status, answer = replace(service, key=KEY).call("POST", "/v1/chat/completions", CHAT)
        assert status == 200
        # The tiny model has one token per byte.
        assert answer["usage"]["prompt_tokens"] == len("Question: hello Answer:")


def _described(chat: Namespace, phrase: str) -> str:
    story = chat.kubectl("describe", "slm", "support")
    assert phrase in story.partition("\nEvents:")[2], story
    return story
