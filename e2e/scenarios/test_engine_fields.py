"""What an engine can be told, release by release, on pods whose engine refuses what its release does not know."""

import pytest

from e2e.harness.namespace import Namespace

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: templates}
data: {chat.jinja: "{{ messages }}"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {api: only-for-this-test}
---
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: support
spec:
  model:
    uri: image:///models/tiny
  engine:
    version: RELEASE
    image: $simulator
    quantization: awq
    dtype: half
    loadFormat: safetensors
    tokenizer: {uri: "image:///models/tiny"}
    trustRemoteCode: false
    maxModelLen: 1024
    kvCacheDtype: bfloat16
    kvCacheMemory: 64Mi
    prefixCaching: true
    kvOffload: {size: 64Mi}
    maxNumSeqs: 8
    maxNumBatchedTokens: 1024
    chunkedPrefill: true
    schedulingPolicy: Priority
    enforceEager: false
    optimizationLevel: 1
    task: Generate
    speculative: {method: ngram, tokens: 3}
    lora: {maxAdapters: 2, maxRank: 16}
    toolCallParser: hermes
    reasoningParser: qwen3
    chatTemplate: {configMapRef: {name: templates, key: chat.jinja}}
    apiKeySecretRef: {name: keys, key: api}
    extraArgs: [--max-logprobs, "10"]
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
    env:
      - {name: SLMFLEET_SIM_VERSION, value: RELEASE}
"""


@pytest.mark.parametrize(
    ("version", "left_out"),
    [
        ("0.11.0", {"kvOffload", "kvCacheMemory", "kvCacheDtype", "optimizationLevel"}),
        ("0.17.1", {"kvOffload", "kvCacheMemory"}),
        ("0.33.0", {"kvOffload"}),
    ],
)
def test_an_engine_starts_with_all_that_its_release_knows_and_the_rest_is_told(
    chat: Namespace, version: str, left_out: set[str]
) -> None:
    chat.apply(MANIFEST.replace("RELEASE", version))
    chat.becomes_ready("support")

    compatible = chat.condition("support", "EngineCompatible")
    assert (compatible.status, compatible.reason) == ("True", "FlagsAdjusted")
    adjusted = chat.get("slm", "support")["status"]["engine"]["adjusted"]
    assert {each["field"].removeprefix("spec.engine.") for each in adjusted} == left_out
    (pod,) = chat.pods("support")
    (engine,) = pod["spec"]["containers"]
    assert "only-for-this-test" not in " ".join(engine["args"])
    assert any(variable["name"] == "VLLM_API_KEY" and "valueFrom" in variable for variable in engine["env"])


def test_a_word_that_nobody_knows_is_told_before_a_pod_exists_and_what_runs_runs_on(chat: Namespace) -> None:
    good = MANIFEST.replace("RELEASE", "0.33.0")
    chat.apply(good)
    chat.becomes_ready("support")
    (before,) = chat.pods("support")

    chat.apply(good.replace("kvCacheDtype: bfloat16", "kvCacheDtype: nvfp4"))
    refused = chat.becomes("support", "Accepted", "InvalidSpec")
    assert refused.message.startswith("spec.engine.kvCacheDtype: nvfp4 is for GPUs: use one of ")
    assert chat.condition("support", "EngineCompatible").reason == "ValueRefused"
    (still,) = chat.pods("support")
    assert still["metadata"]["uid"] == before["metadata"]["uid"]
