"""Each case: the manifests of in.yaml, planned into an empty cluster, are exactly the objects in out/.

After a wanted change: `UPDATE_GOLDEN=1 pytest tests/golden`, and read the diff.
"""

import os
from pathlib import Path

import pytest
import yaml

from slmfleet.api.access import Peer
from slmfleet.api.labels import LabelSelector
from slmfleet.cli.output import to_yaml
from slmfleet.core.plan import plan
from slmfleet.core.types import Config, Manifest, Observed
from tests.core.make import NOW

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in HERE.glob("*/in.yaml"))
CONFIG = Config(
    renderer="golden",
    images={
        "cuda": "vllm/vllm-openai:v{version}",
        "rocm": "vllm/vllm-openai-rocm:v{version}",
        "cpu": "vllm/vllm-openai-cpu:v{version}",
    },
    guard={"middleware.py": "# the guard's source\n"},
    key=b"a key",
    fetcher="slmfleet/fetcher:golden",
    peers=(
        Peer(
            namespace_selector=LabelSelector(match_labels={"kubernetes.io/metadata.name": "slmfleet-system"}),
            pod_selector=LabelSelector(match_labels={"app.kubernetes.io/name": "slmfleet"}),
        ),
    ),
)


def observed(case: str) -> Observed:
    """The deployment of a case, its adapters, and its accelerator where that is not a built-in one."""
    documents = list(yaml.safe_load_all((HERE / case / "in.yaml").read_text()))
    (slm,) = [d for d in documents if d["kind"] == "SLMDeployment"]
    accelerator = next((d for d in documents if d["kind"] == "AcceleratorClass"), None)
    adapters = tuple(d for d in documents if d["kind"] == "LoRAAdapter")
    return Observed(slm, accelerator=accelerator, adapters=adapters)


def planned(case: str) -> dict[str, Manifest]:
    result = plan(observed(case), CONFIG, NOW)
    assert result.apply, result.status["conditions"]
    kinds = [m["kind"] for m in result.apply]
    return {
        f"{m['kind'].lower()}{f'-{n}' if n else ''}.yaml": m
        for index, m in enumerate(result.apply)
        for n in (kinds[:index].count(m["kind"]),)
    }


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    out = HERE / case / "out"
    actual = planned(case)
    if os.environ.get("UPDATE_GOLDEN"):
        out.mkdir(exist_ok=True)
        for stale in out.glob("*.yaml"):
            stale.unlink()
        for name, manifest in actual.items():
            (out / name).write_text(to_yaml([manifest]))
    expected = {path.name: yaml.safe_load(path.read_text()) for path in out.glob("*.yaml")}
    assert actual == expected
