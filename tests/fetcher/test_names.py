"""Which files of a source are the adapter's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.fetcher.errors import FetchError
from slmfleet.fetcher.names import select

ADAPTER = ["adapter_config.json", "adapter_model.safetensors"]


def refusal(*names: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        select([*ADAPTER, *names], "s3://b/a")
    return caught.value


def test_configuration_weights_tokenizer_and_texts_are_taken() -> None:
    more = ["README.md", "chat_template.jinja", "merges.txt", "tokenizer.json"]
    assert select([*ADAPTER, *more], "s3://b/a").taken == tuple(sorted([*ADAPTER, *more]))


@pytest.mark.parametrize(
    "name",
    [
        ".gitattributes",
        "plot.png",
        "run.sh",
        "training_args.bin",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state_0.pth",
        "checkpoint-5/adapter_model.safetensors",
        "checkpoint-5/adapter_model.bin",
        ".git/config",
    ],
)
def test_what_vllm_never_reads_is_left_out(name: str) -> None:
    selection = select([*ADAPTER, name], "s3://b/a")
    assert (selection.taken, selection.left) == (tuple(ADAPTER), (name,))


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.pt", "new_embeddings.pt", "x.PKL", "x.ckpt"])
def test_a_pickle_refuses_the_adapter(name: str) -> None:
    error = refusal(name)
    assert (error.reason, error.again) == ("PickleRefused", False)
    assert str(error).startswith(f"{name} in s3://b/a is a pickle")


@pytest.mark.parametrize(
    "name",
    ["../x.json", "a/../../x.json", "/etc/x.json", "a//x.json", "./x.json", "a\\..\\x.json", "x\n.json", "x\0.json"],
)
def test_a_name_that_could_lead_elsewhere_refuses_the_adapter(name: str) -> None:
    assert refusal(name).reason == "UnsafeFile"


def test_a_name_that_no_file_system_has_refuses_the_adapter() -> None:
    assert refusal("x" * 251 + ".json").reason == "UnsafeFile"


@pytest.mark.parametrize("missing", ADAPTER)
def test_without_configuration_or_weights_it_is_no_adapter(missing: str) -> None:
    with pytest.raises(FetchError, match=f"there is no {missing} in s3://b/a$"):
        select([name for name in ADAPTER if name != missing], "s3://b/a")


def test_adapters_in_folders_below_are_named() -> None:
    with pytest.raises(FetchError, match="there is one in v7, v8: name that folder"):
        select([f"{folder}/{name}" for folder in ("v7", "v8") for name in ADAPTER], "s3://b/a")


def test_more_files_than_an_adapter_can_have_are_too_many() -> None:
    assert refusal(*(f"{number}.json" for number in range(1000))).reason == "TooLarge"


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), max_size=5))
def test_every_name_that_is_taken_is_one_of_the_folder_itself(names: list[str]) -> None:
    try:
        taken = select([*ADAPTER, *names], "s3://b/a").taken
    except FetchError:
        return
    assert not [name for name in taken if "/" in name or name in (".", "..") or "\0" in name]
