import pytest

from slmfleet.engine.steptime import StepTime
from slmfleet.engine.version import EngineVersion
from slmfleet.simulator.config import ConfigError, ModelFacts, resolve
from slmfleet.simulator.failures import config_failure
from slmfleet.simulator.flags import parse
from slmfleet.simulator.settings import Settings, SettingsError, read_settings

from .building import LATEST, config


def test_the_served_name_is_the_model_without_a_flag() -> None:
    assert config("--model", "/m").served_names == ("/m",)


def test_defaults_are_those_of_a_small_gpu() -> None:
    made = config()
    assert (made.max_num_seqs, made.max_num_batched_tokens, made.block_size) == (256, 2048, 16)


@pytest.mark.parametrize(("release", "default"), [("0.19.0", 0.9), ("0.20.0", 0.92)])
def test_the_default_memory_utilization_rose_with_0_20(release: str, default: float) -> None:
    assert config(version=EngineVersion.parse(release)).gpu_memory_utilization == default


def test_concurrency_is_cache_tokens_over_the_context() -> None:
    made = config("--max-model-len", "1024", "--num-gpu-blocks-override", "96", "--block-size", "16")
    assert (made.kv_tokens, made.max_concurrency) == (1536, 1.5)


def test_auto_takes_the_longest_context_that_fits_the_cache() -> None:
    assert config("--max-model-len", "auto", "--num-gpu-blocks-override", "10").max_model_len == 160


REFUSED = [
    (["--max-model-len", "4096"], {}, r"User-specified max_model_len \(4096\) is greater than the derived"),
    (
        ["--num-gpu-blocks-override", "100"],
        {},
        r"To serve at least one request with the model's max seq len \(2048\), \(0.25 GiB KV cache is needed, which is "
        r"larger than the available KV cache memory \(0.20 GiB\).*estimated maximum model length is 1600",
    ),
    (["--quantization", "gguf"], {}, r"Unknown quantization method: gguf. Must be one of \['awq'"),
    (["-tp", "3"], {}, r"attention heads \(4\) must be divisible by tensor parallel size \(3\)"),
    (["--enable-auto-tool-choice"], {}, "requires --tool-call-parser"),
    (["--max-num-batched-tokens", "8", "--max-num-seqs", "16"], {}, r"max_num_batched_tokens \(8\) must be greater"),
    ([], {"VLLM_PORT": "tcp://10.96.0.7:80"}, "VLLM_PORT 'tcp://10.96.0.7:80' appears to be a URI"),
]


@pytest.mark.parametrize(("argv", "environment", "message"), REFUSED)
def test_a_refused_configuration_says_what_vllm_says(
    argv: list[str], environment: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        config(*argv, facts=ModelFacts(max_len=2048, attention_heads=4), environment=environment)


def test_a_longer_context_is_allowed_with_vllms_variable() -> None:
    assert config("--max-model-len", "4096", environment={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}).max_model_len == 4096


def test_gguf_was_in_the_tree_until_0_23() -> None:
    config("--quantization", "gguf", version=EngineVersion.parse("0.23.0"))


def test_facts_come_from_config_json() -> None:
    facts = ModelFacts.of(
        {
            "max_position_embeddings": 40960,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
        }
    )
    assert facts == ModelFacts(max_len=40960, attention_heads=32, kv_bytes_per_token=147456)


def test_the_cause_of_an_engine_failure_is_not_the_last_line_of_its_log() -> None:
    with pytest.raises(ConfigError) as raised:
        resolve(parse([], LATEST), ModelFacts(), Settings(kv_blocks=10), LATEST, {})
    lines = config_failure(raised.value, 7).splitlines()
    assert "ValueError: To serve at least one request" in "\n".join(lines)
    assert "resource_tracker" in lines[-2]


def test_settings_come_from_the_environment() -> None:
    environment = {"SLMFLEET_SIM_KV_BLOCKS": "64", "SLMFLEET_SIM_FAULT": '{"health": "hang"}', "OTHER": "x"}
    assert read_settings(environment) == Settings(kv_blocks=64, fault={"health": "hang"})


@pytest.mark.parametrize(
    ("variables", "step"),
    [
        ({}, StepTime(a=0.02, p=1 / 8000)),
        ({"DECODE_STEP_MS": "3", "PREFILL_TOKENS_PER_SECOND": "100"}, StepTime(a=0.003, p=0.01)),
        ({"STEP_TIME": "L4-8B"}, StepTime(a=0.067, p=260e-6, d=75e-6, kappa=0.55e-6)),
        ({"STEP_TIME": '{"a": 0.5, "p": 0.25, "kappa": 1}'}, StepTime(a=0.5, p=0.25, kappa=1.0)),
    ],
)
def test_step_times_come_by_name_or_as_they_are(variables: dict[str, str], step: StepTime) -> None:
    assert read_settings({f"SLMFLEET_SIM_{name}": value for name, value in variables.items()}).step == step


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"STEP_TIME": "T4"}, "SLMFLEET_SIM_STEP_TIME='T4': 'T4' is not a row"),
        ({"STEP_TIME": '{"a": 1}'}, "a, p, d, kappa are wanted"),
        (
            {"STEP_TIME": "L4-8B", "DECODE_STEP_MS": "3"},
            "SLMFLEET_SIM_STEP_TIME and SLMFLEET_SIM_DECODE_STEP_MS say the same: leave one of them out",
        ),
    ],
)
def test_step_times_that_cannot_be_used_are_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_settings({f"SLMFLEET_SIM_{name}": value for name, value in variables.items()})


@pytest.mark.parametrize("value", ["x", "0", "-1"])
def test_a_bad_setting_names_its_variable(value: str) -> None:
    with pytest.raises(SettingsError, match=f"SLMFLEET_SIM_KV_BLOCKS='{value}'"):
        read_settings({"SLMFLEET_SIM_KV_BLOCKS": value})
