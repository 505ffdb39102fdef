"""What the API server says to a manifest that cannot be meant."""

import pytest

from e2e.harness.namespace import Namespace

MANIFEST = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: support
spec:
  model:
    uri: hf://Qwen/Qwen3-8B
  engine:
    version: 0.32.0
    extraArgs: [--seed, "1"]
  accelerator:
    class: nvidia-l4
"""


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        pytest.param(
            "version: 0.32.0",
            "version: 0.8.5",
            "0.8.5 is older than 0.11.0, the first release with only the V1 engine: use 0.11.0 or newer",
            id="an engine that is too old",
        ),
        pytest.param(
            '[--seed, "1"]',
            "[--port, '9000']",
            "--port is not allowed: the probes and the Service depend on the operator's value, remove it",
            id="a flag that belongs to the operator",
        ),
        pytest.param(
            "uri: hf://Qwen/Qwen3-8B",
            "uri: Qwen/Qwen3-8B",
            '"Qwen/Qwen3-8B" is no place for a model: use hf://owner/name',
            id="a model without a scheme",
        ),
        pytest.param(
            'extraArgs: [--seed, "1"]',
            "maxModelLength: 8192",
            'unknown field "spec.engine.maxModelLength"',
            id="a misspelt field",
        ),
    ],
)
def test_the_api_server_refuses(chat: Namespace, right: str, wrong: str, said: str) -> None:
    assert said in chat.apply_refused(MANIFEST.replace(right, wrong))
    assert chat.objects("slm") == []
