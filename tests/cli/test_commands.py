"""The slmfleet command, as a user calls it."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from slmfleet import __version__
from slmfleet.cli.main import main

MINIMAL = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata: {name: support}
spec:
  model: {uri: "hf://Qwen/Qwen3-8B"}
  engine: {version: "0.32.0"}
  accelerator: {class: nvidia-l4}
"""


def run(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, args, input=stdin)


def test_render_prints_the_children_as_yaml_in_the_namespace_given() -> None:
    result = run("render", "-n", "chat", "-", stdin=MINIMAL)
    assert result.exit_code == 0
    children = list(yaml.safe_load_all(result.stdout))
    assert [c["kind"] for c in children] == [
        "Secret",
        "ServiceAccount",
        "ConfigMap",
        "NetworkPolicy",
        "ControllerRevision",
        "Deployment",
        "Service",
        "PodDisruptionBudget",
    ]
    assert {c["metadata"]["namespace"] for c in children} == {"chat"}


def test_render_prints_json_that_kubectl_accepts_as_a_list() -> None:
    value = json.loads(run("render", "-o", "json", "-", stdin=MINIMAL).stdout)
    assert (value["kind"], len(value["items"])) == ("List", 8)


def test_render_shows_the_guards_files_and_no_token_since_only_the_cluster_has_its_key() -> None:
    secret, _, config_map, *_ = yaml.safe_load_all(run("render", "-", stdin=MINIMAL).stdout)
    assert set(secret) == {"apiVersion", "kind", "metadata", "type", "immutable"}
    files = {path.name for path in Path("operator/slmfleet/guard").glob("*.py")}
    assert set(config_map["data"]) == {*files, "config.json"}
    assert config_map["data"]["drain.py"] == Path("operator/slmfleet/guard/drain.py").read_text()


def test_render_takes_engine_images_as_the_operator_does() -> None:
    result = run("render", "--engine-image", "cuda=registry.example/vllm:{version}-cu", "-", stdin=MINIMAL)
    assert "image: registry.example/vllm:0.32.0-cu\n" in result.stdout


def test_render_uses_an_accelerator_class_of_the_same_file() -> None:
    accel = (
        "---\napiVersion: slmfleet.dev/v1alpha1\nkind: AcceleratorClass\nmetadata: {name: nvidia-l4}\n"
        "spec: {platform: cuda, memory: 24Gi, resourceName: example.com/gpu}\n"
    )
    assert "example.com/gpu: '1'\n" in run("render", "-", stdin=MINIMAL + accel).stdout


ADAPTER = """---
apiVersion: slmfleet.dev/v1alpha1
kind: LoRAAdapter
metadata: {name: legal}
spec: {deploymentRef: {name: support}, source: {uri: "hf://org/legal"}}
"""


def test_render_shows_the_job_that_fetches_an_adapter() -> None:
    room = MINIMAL.replace('version: "0.32.0"', 'version: "0.32.0", lora: {claimName: adapters}')
    assert room != MINIMAL
    children = list(yaml.safe_load_all(run("render", "-", stdin=room + ADAPTER).stdout))
    (job,) = [child for child in children if child["kind"] == "Job"]
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == f"slmfleet/fetcher:{__version__}"


def test_render_refuses_an_adapter_that_its_deployment_has_no_room_for() -> None:
    result = run("render", "-", stdin=MINIMAL + ADAPTER)
    assert result.exit_code == 1
    assert "LoRAAdapter legal: LoRAOff: support has no spec.engine.lora" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "Error: <stdin>: not valid YAML: "),
        ("[1, 2]", "Error: <stdin>: document 1 is not a Kubernetes object: it needs kind and metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}", "Error: <stdin>: no SLMDeployment in it"),
        (
            MINIMAL.replace('version: "0.32.0"', "version: 0.32"),
            "Error: <stdin>: SLMDeployment support: InvalidSpec: spec.engine.version: 0.32: ",
        ),
        (
            MINIMAL.replace("hf://Qwen", "Qwen"),
            'Error: <stdin>: SLMDeployment support: InvalidSpec: spec.model.uri: "Qwen/Qwen3-8B": no place for a model: use hf://',
        ),
        (
            MINIMAL.replace("0.32.0", "0.8.5"),
            'Error: <stdin>: SLMDeployment support: InvalidSpec: spec.engine.version: "0.8.5": older than 0.11.0, ',
        ),
        (MINIMAL.replace("nvidia-l4", "nvidia-l5"), "Error: <stdin>: SLMDeployment support: UnknownAccelerator: "),
        (MINIMAL + "  paused: true\n", "Error: <stdin>: SLMDeployment support is paused: "),
    ],
)
def test_render_says_what_is_wrong_with_its_input(text: str, message: str) -> None:
    result = run("render", "-", stdin=text)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)


def test_render_reads_dates_as_the_text_that_they_are() -> None:
    assert (
        "built: '2026-01-01'"
        in run("render", "-", stdin=MINIMAL + "  pod: {annotations: {built: 2026-01-01}}\n").stdout
    )


def test_render_refuses_an_image_for_a_platform_that_does_not_exist() -> None:
    result = run("render", "--engine-image", "tpu=x", "-", stdin=MINIMAL)
    assert result.exit_code == 1
    assert "write PLATFORM=IMAGE with a platform of cuda, rocm, cpu" in result.stderr


def test_crds_prints_all_kinds() -> None:
    names = [d["metadata"]["name"] for d in yaml.safe_load_all(run("crds").stdout)]
    assert sorted(names) == [
        "acceleratorclasses.slmfleet.dev",
        "loraadapters.slmfleet.dev",
        "slmdeployments.slmfleet.dev",
    ]


def test_version_names_the_release_and_the_api() -> None:
    assert run("version").stdout == f"slmfleet {__version__} (slmfleet.dev/v1alpha1)\n"


def test_a_file_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    assert run("render", str(tmp_path / "none.yaml")).exit_code == 2
