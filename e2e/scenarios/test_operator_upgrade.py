"""A newer operator that would render other pods leaves the running ones alone until it is told to roll them."""

import shutil
from pathlib import Path

from e2e.cluster.settings import REPOSITORY
from e2e.harness.api import Object
from e2e.harness.images import Images
from e2e.harness.installation import Installation
from e2e.harness.namespace import Namespace

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
    image: $simulator
  accelerator:
    class: cpu
  drain:
    timeout: 5s
  pod:
    resources:
      requests: {cpu: 50m, memory: 128Mi}
"""
NEXT_RELEASE = {
    "operator/slmfleet/__init__.py": ('__version__ = "', '__version__ = "9.'),
    "operator/slmfleet/core/build/pod.py": ("EXIT_SECONDS: Final = 15", "EXIT_SECONDS: Final = 14"),
    "operator/slmfleet/guard/middleware.py": ("LOOK_SECONDS = 0.1", "LOOK_SECONDS = 0.2"),
}


def test_an_upgraded_operator_rolls_nothing_until_told(
    chat: Namespace, operator: Installation, images: Images, tmp_path: Path
) -> None:
    chat.apply(MANIFEST)
    chat.becomes_ready("support")
    uids, template, generation = (
        _uids(chat),
        _template(chat),
        chat.get("deployment", "support")["metadata"]["generation"],
    )
    renderer = chat.get("slm", "support")["status"]["revision"]["renderer"]

    with operator.upgraded(images.next_operator(_next_release(tmp_path))):
        outdated = chat.becomes("support", "Progressing", "TemplateOutdated")
        assert outdated.status == "True"
        assert outdated.message.startswith(f"the pods keep the template that slmfleet {renderer} rendered")
        assert "spec.rollout.onOperatorUpgrade: Roll" in outdated.message
        assert chat.condition("support", "Ready").status == "True"
        assert _uids(chat) == uids
        assert chat.get("deployment", "support")["metadata"]["generation"] == generation

        # A replica more is no reason to change the others, and gets their template.
        chat.kubectl("scale", "slm", "support", "--replicas=2")
        chat.becomes_ready("support")
        assert uids < _uids(chat)
        assert _template(chat) == template

        chat.patch("support", {"rollout": {"onOperatorUpgrade": "Roll"}})
        chat.becomes("support", "Progressing", "UpToDate")
        assert not _uids(chat) & uids
        assert _template(chat) != template
        assert chat.get("slm", "support")["status"]["revision"]["renderer"] != renderer


def _uids(chat: Namespace) -> set[str]:
    return {pod["metadata"]["uid"] for pod in chat.pods("support")}


def _template(chat: Namespace) -> Object:
    template: Object = chat.get("deployment", "support")["spec"]["template"]
    return template


def _next_release(folder: Path) -> Path:
    """A copy of the source with another version and another pod template."""
    for part in ("operator", "requirements"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in NEXT_RELEASE.items():
        text = (folder / name).read_text()
        assert text.count(old) == 1, f"{name} does not hold {old!r} once any more: correct NEXT_RELEASE"
        (folder / name).write_text(text.replace(old, new))
    return folder
