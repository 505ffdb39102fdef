"""`slmfleet explain`, as a user calls it."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from slmfleet.cli.main import main

CHAT = """
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata: {name: chat, namespace: demo}
spec:
  model: {uri: "hf://Qwen/Qwen3-8B-AWQ"}
  accelerator: {class: nvidia-l4}
  engine:
    version: "0.32.0"
    maxModelLen: 8192
    swapSpace: 4Gi
    apiKeySecretRef: {name: keys, key: api}
    extraArgs: [--max-logprobs, "10", --seed=-1]
"""


def run(*args: str, stdin: str = CHAT) -> Result:
    return CliRunner().invoke(main, ["explain", "-f", "-", *args], input=stdin)


def told(*args: str, stdin: str = CHAT) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run("-o", "json", *args, stdin=stdin).stdout)
    return result


def argument(flag: str, **parts: Any) -> dict[str, Any]:
    (found,) = [a for a in told(**parts)["arguments"] if a["flag"] == flag]
    return dict(found)


def test_an_argument_tells_value_origin_field_release_and_purpose() -> None:
    found = argument("--max-model-len")
    assert found.pop("why").startswith("Longest sequence, prompt plus answer, in tokens.")
    assert found == {
        "flag": "--max-model-len",
        "value": "8192",
        "origin": "user",
        "field": "spec.engine.maxModelLen",
        "since": "0.11.0",
        "until": None,
    }


@pytest.mark.parametrize(
    ("flag", "origin"),
    [
        ("--model", "user"),
        ("--port", "default"),
        ("--served-model-name", "default"),
        ("--shutdown-timeout", "default"),
        ("--kv-offloading-size", "adjustment"),
        ("--max-logprobs", "user"),
    ],
)
def test_the_origin_is_who_decided(flag: str, origin: str) -> None:
    assert argument(flag)["origin"] == origin


def test_a_drain_that_was_written_out_is_the_users() -> None:
    assert argument("--shutdown-timeout", stdin=CHAT + "  drain: {timeout: 300s}\n")["origin"] == "user"


def test_extra_arguments_are_told_one_by_one() -> None:
    values = {a["flag"]: a["value"] for a in told()["arguments"] if a.get("field") == "spec.engine.extraArgs"}
    assert values == {"--max-logprobs": "10", "--seed": "-1"}


def test_variables_memory_and_adjustments_are_told_and_no_secret_is() -> None:
    found = told()
    (key,) = [v for v in found["environment"] if v["name"] == "VLLM_API_KEY"]
    assert key["value"] == "key api of Secret keys"
    assert found["hostMemoryBytes"] == 4 * 1024**3
    assert [a["field"] for a in found["adjusted"]] == ["spec.engine.swapSpace"]
    assert found["refused"] == []


def test_the_text_says_the_same_in_a_table() -> None:
    lines = run().stdout.splitlines()
    assert lines[0] == "demo/chat: vLLM 0.32.0 on nvidia-l4 (cuda)"
    assert lines[1].split() == ["FLAG", "VALUE", "FROM", "FIELD", "SINCE", "WHAT", "FOR"]
    (row,) = [line for line in lines if line.startswith("--max-model-len")]
    assert row.split()[:5] == ["--max-model-len", "8192", "user", "spec.engine.maxModelLen", "0.11.0"]
    assert "Adjusted:" in lines
    assert "Host memory:" in lines


def test_several_deployments_are_told_one_after_the_other() -> None:
    second = CHAT.replace("name: chat", "name: rag")
    assert [each["name"] for each in json.loads(run("-o", "json", stdin=f"{CHAT}---{second}").stdout)] == [
        "chat",
        "rag",
    ]
    text = run(stdin=f"{CHAT}---{second}").stdout
    assert "demo/chat: " in text
    assert "\n\ndemo/rag: " in text


def test_an_accelerator_class_of_the_same_file_takes_part() -> None:
    accel = (
        "---\napiVersion: slmfleet.dev/v1alpha1\nkind: AcceleratorClass\nmetadata: {name: nvidia-l4}\n"
        "spec: {platform: rocm, memory: 24Gi, resourceName: amd.com/gpu}\n"
    )
    assert told(stdin=CHAT + accel)["platform"] == "rocm"


def test_a_spec_that_would_be_refused_is_explained_and_fails() -> None:
    result = run(stdin=CHAT.replace("swapSpace: 4Gi", "toolCallParser: hermess"))
    assert result.exit_code == 1
    assert (
        "Refused:\n- spec.engine.toolCallParser: hermess is not known to vLLM 0.32.0: did you mean hermes?"
        in result.stdout
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "Error: <stdin>: not valid YAML: "),
        ("[1]", "Error: <stdin>: document 1 is not a Kubernetes object: it needs kind and metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}", "Error: <stdin>: no SLMDeployment in it"),
        (CHAT.replace("nvidia-l4", "nvidia-l5"), "Error: <stdin>: SLMDeployment chat: UnknownAccelerator: "),
        (
            CHAT.replace('"0.32.0"', "0.32"),
            "Error: <stdin>: SLMDeployment chat: InvalidSpec: spec.engine.version: 0.32",
        ),
    ],
)
def test_what_cannot_be_read_is_an_error(text: str, message: str) -> None:
    result = run(stdin=text)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)


class TestDiff:
    """What going from one release to another changes."""

    def test_arguments_that_come_and_go(self) -> None:
        changes = {c["name"]: (c["before"], c["after"]) for c in told("--diff", "0.17.1", "0.32.0")["arguments"]}
        assert changes == {"--shutdown-timeout": (None, "300")}

    def test_adjustments_that_become_necessary(self) -> None:
        stdin = CHAT.replace("swapSpace: 4Gi", "kvOffload: {size: 4Gi, backend: LMCache}")
        found = told("--diff", "0.22.1", "0.23.0", stdin=stdin)
        changed = {c["name"] for c in found["arguments"]}
        assert changed == {"--kv-offloading-size", "--kv-offloading-backend", "--kv-transfer-config"}
        assert [a["flag"] for a in found["adjusted"]] == ["--kv-transfer-config"]

    def test_defaults_that_changed_and_the_field_that_keeps_the_old_one(self) -> None:
        defaults = {d["flag"]: d for d in told("--diff", "0.19.0", "0.20.0")["defaults"]}
        found = defaults["--gpu-memory-utilization"]
        assert (found["before"], found["after"]) == (0.9, 0.92)
        assert found["field"] == "spec.engine.gpuMemoryUtilizationPercent"

    def test_a_default_that_the_spec_overrides_is_no_change(self) -> None:
        stdin = CHAT.replace("swapSpace: 4Gi", "gpuMemoryUtilizationPercent: 90")
        flags = {d["flag"] for d in told("--diff", "0.19.0", "0.20.0", stdin=stdin)["defaults"]}
        assert "--gpu-memory-utilization" not in flags

    def test_what_the_new_release_refuses_fails(self) -> None:
        stdin = CHAT.replace("swapSpace: 4Gi", "quantization: gguf")
        result = run("--diff", "0.23.0", "0.24.0", stdin=stdin)
        assert result.exit_code == 1
        assert "gguf left vLLM with 0.23 for vllm-gguf-plugin" in " ".join(result.stdout.split())
        assert run("--diff", "0.22.0", "0.23.0", stdin=stdin).exit_code == 0

    def test_the_text_names_both_releases(self) -> None:
        lines = run("--diff", "0.17.1", "0.32.0").stdout.splitlines()
        assert lines[0] == "demo/chat: from vLLM 0.17.1 to 0.32.0 on nvidia-l4"
        assert any(line.split()[:3] == ["--shutdown-timeout", "-", "300"] for line in lines)

    def test_nothing_changes_between_a_release_and_itself(self) -> None:
        text = run("--diff", "0.32.0", "0.32.0").stdout
        assert "the engine gets the same arguments and has the same defaults" in text

    def test_a_release_that_is_none_is_an_error(self) -> None:
        result = run("--diff", "0.32", "0.33.0")
        assert result.exit_code == 1
        assert "spec.engine.version" in result.stderr
