import pytest

from slmfleet.engine.startup import FIXED_SECONDS, MAX_SECONDS, billions_of_parameters, start_budget


@pytest.mark.parametrize(
    ("uri", "billions"),
    [
        ("hf://Qwen/Qwen3-8B-AWQ", 8),
        ("hf://meta-llama/Llama-3.2-1B-Instruct", 1),
        ("hf://HuggingFaceTB/SmolLM2-135M", 0.135),
        ("hf://mistralai/Mixtral-8x7B-v0.1", 56),
        ("hf://Qwen/Qwen3-30B-A3B", 30),  # a mixture of experts: the first number is what has to be loaded
        ("hf://google/gemma-3-270m-it", 0.27),
        ("hf://openai/gpt-oss-20b", 20),
        ("hf://microsoft/phi-4", None),  # the name says nothing
        ("image:///models/tiny", None),
        ("pvc://w/Llama-3-70B/snapshots/abc", 70),
        ("pvc://models-70B/other", None),  # a claim's name is not the model's
    ],
)
def test_the_size_is_read_from_the_checkpoints_name(uri: str, billions: float | None) -> None:
    assert billions_of_parameters(uri) == (billions and pytest.approx(billions))


def test_the_budget_is_the_fixed_part_and_the_time_for_the_weights() -> None:
    assert start_budget("hf://Qwen/Qwen3-8B") == FIXED_SECONDS + 320  # 16 GB at 0.05 GB/s
    assert start_budget("pvc://models/Qwen3-8B") == FIXED_SECONDS + 80  # 16 GB at 0.2 GB/s


def test_a_model_of_unknown_size_is_taken_for_one_of_32_billions() -> None:
    assert start_budget("hf://microsoft/phi-4") == FIXED_SECONDS + 1280


def test_the_budget_is_bounded_for_the_largest_models() -> None:
    assert start_budget("hf://deepseek-ai/DeepSeek-V3-671B") == MAX_SECONDS
