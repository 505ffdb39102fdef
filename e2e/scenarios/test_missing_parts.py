"""What a pod needs and does not find: the kubelet's words, and recovery once it is there."""

from e2e.harness.namespace import Namespace

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: support
spec:
  model:
    uri: hf://Qwen/Qwen3-0.6B
    secretRef: {name: hf-token, key: token}
  engine:
    version: 0.32.0
    image: $simulator
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
"""


def test_a_missing_secret_is_named_and_its_creation_recovers(chat: Namespace) -> None:
    chat.apply(MANIFEST)

    missing = chat.becomes("support", "Available", "SecretMissing")
    assert missing.status == "False"
    assert 'secret "hf-token" not found' in missing.message
    assert missing.message.endswith("create it, or correct spec.model.secretRef or spec.pod")
    assert 'secret "hf-token" not found' in chat.kubectl("describe", "slm", "support")

    chat.kubectl("create", "secret", "generic", "hf-token", "--from-literal=token=hf_0123456789abcdef")

    # The kubelet looks again at a pod that it could not start after up to a minute.
    chat.becomes_ready("support")
    (pod,) = chat.pods("support")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert "hf_0123456789abcdef" not in chat.kubectl("get", "slm,deploy,pods,events,controllerrevisions", "-o", "yaml")


def test_an_image_that_cannot_be_pulled_is_named_and_its_correction_recovers(chat: Namespace) -> None:
    without_token = MANIFEST.replace("    secretRef: {name: hf-token, key: token}\n", "")
    chat.apply(without_token.replace("$simulator", "registry.invalid/vllm/vllm-openai:v0.32.0"))

    missing = chat.becomes("support", "Available", "ImagePull")
    assert missing.status == "False"
    assert "registry.invalid/vllm/vllm-openai:v0.32.0" in missing.message
    assert chat.get("slm", "support")["status"]["phase"] == "Failed"

    chat.apply(without_token)

    chat.becomes_ready("support")


def test_a_volume_that_cannot_be_mounted_is_named_and_its_creation_recovers(chat: Namespace) -> None:
    without_token = MANIFEST.replace("    secretRef: {name: hf-token, key: token}\n", "")
    volume = "    volumes: [{name: ca, mountPath: /etc/extra-ca, configMap: {name: ca-bundle}}]\n"
    chat.apply(without_token + volume)

    # Asked about after 20 s: a mount takes a while where nothing is wrong, too.
    missing = chat.becomes("support", "Available", "VolumeNotReady")
    assert "FailedMount: " in missing.message
    assert 'configmap "ca-bundle" not found' in missing.message
    assert 'configmap "ca-bundle" not found' in chat.kubectl("describe", "slm", "support")

    chat.kubectl("create", "configmap", "ca-bundle", "--from-literal=ca.pem=none")

    # The kubelet's own pause between two attempts grows to two minutes.
    chat.becomes_ready("support", within=300)
