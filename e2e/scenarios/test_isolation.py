"""One object that cannot be carried out never hurts another, nor what it had running itself."""

from e2e.harness.namespace import Namespace

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: good
spec:
  model:
    uri: image:///models/tiny
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


def test_a_bad_object_beside_a_good_one(chat: Namespace) -> None:
    bad = MANIFEST.replace("name: good", "name: bad").replace("class: cpu", "class: nvidia-l44")
    twice = "    volumes: [{name: a, mountPath: /data, emptyDir: {}}, {name: b, mountPath: /data, emptyDir: {}}]\n"
    chat.apply("---".join([bad, MANIFEST.replace("name: good", "name: worse") + twice, MANIFEST]))

    unknown = chat.becomes("bad", "Accepted", "UnknownAccelerator")
    assert unknown.message.startswith(
        'spec.accelerator.class: "nvidia-l44" is neither an AcceleratorClass nor in the built-in catalogue: '
        "did you mean nvidia-l4? "
    )
    invalid = chat.becomes("worse", "Accepted", "InvalidSpec")
    assert invalid.message == "spec.pod.volumes: /data is mounted twice: give each volume a mountPath of its own"
    chat.becomes_ready("good")
    assert [child["metadata"]["name"] for child in chat.objects("deployment")] == ["good"]
    assert chat.kubectl("get", "slm", "bad").split()[-2] == "Invalid"


def test_an_edit_that_cannot_be_carried_out_leaves_what_runs(chat: Namespace) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("good")
    (pod,) = chat.pods("good")

    chat.apply(MANIFEST.replace("class: cpu", "class: nvidia-l44"))
    chat.becomes("good", "Ready", "UnknownAccelerator")
    assert chat.condition("good", "Available") == ("True", "AtLeastOneReady", "1 of 1 replicas answer")
    with chat.service("good") as service:
        assert service.models() == ["good"]

    chat.apply(MANIFEST)
    chat.becomes_ready("good")
    assert [pod["metadata"]["uid"]] == [found["metadata"]["uid"] for found in chat.pods("good")]
