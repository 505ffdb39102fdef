"""LoRA adapters at run time, through the server as clients see it."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from slmfleet.simulator import texts
from slmfleet.simulator.adapters import weights_name
from tests.guard.adapters import adapter

from .test_server import PROMPT, post, serving

LORA = ("--enable-lora", "--max-lora-rank", "8", "--max-cpu-loras", "1")


async def load(client: ClientSession, name: str, path: Path) -> tuple[int, str]:
    async with client.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(path)}) as response:
        return response.status, await response.text()


async def text(client: ClientSession, model: str) -> Any:
    _, body = await post(client, "/v1/completions", PROMPT | {"model": model})
    return body["model"], body["choices"][0]["text"]


def two(root: Path) -> tuple[Path, Path]:
    first, second = adapter(root / "a"), adapter(root / "b", dtype="F32")
    assert weights_name(first) != weights_name(second)
    return first, second


async def test_an_adapter_answers_with_its_weights_under_its_name(tmp_path: Path) -> None:
    first, _ = two(tmp_path)
    async with serving(*LORA) as client:
        assert await load(client, "x", first) == (200, "Success: LoRA adapter 'x' added successfully.")
        assert await text(client, "x") == ("x", texts.answer("hello", 3, weights_name(first)))
        assert (await text(client, "x"))[1].split()[0] == weights_name(first)
        assert await text(client, "alias") == ("tiny", texts.answer("hello", 3))


async def test_streams_begin_with_the_weights(tmp_path: Path) -> None:
    first, _ = two(tmp_path)
    async with serving(*LORA) as client:
        await load(client, "x", first)
        async with client.post("/v1/completions", json=PROMPT | {"model": "x", "stream": True}) as response:
            assert f'"text":"{weights_name(first)}"' in await response.text()


async def test_models_list_the_adapters_with_their_paths(tmp_path: Path) -> None:
    first, _ = two(tmp_path)
    async with serving(*LORA) as client:
        await load(client, "x", first)
        async with client.get("/v1/models") as response:
            *_, card = (await response.json())["data"]
        assert (card["id"], card["root"], card["parent"], card["max_model_len"]) == ("x", str(first), "tiny", None)


@pytest.mark.parametrize(
    ("config", "status", "words"),
    [
        ({"r": 16}, 500, "LoRA rank 16 is greater than max_lora_rank 8."),
        ({"use_dora": True}, 500, "vLLM does not yet support DoRA."),
        ({"modules_to_save": ["lm_head"]}, 500, "Unsupported modules_to_save: ['lm_head']"),
    ],
)
async def test_what_the_worker_refuses_is_a_500(tmp_path: Path, config: Any, status: int, words: str) -> None:
    async with serving(*LORA) as client:
        found, body = await load(client, "x", adapter(tmp_path / "a", **config))
        assert (found, words in body) == (status, True)


async def test_refusals_of_the_registry(tmp_path: Path) -> None:
    first, second = two(tmp_path)
    async with serving(*LORA) as client:
        assert (await load(client, "x", tmp_path / "none"))[0] == 404
        assert (await load(client, "tiny", first))[0] == 400
        await load(client, "x", first)
        assert (await load(client, "x", second))[0] == 400
        status, body = await post(client, "/v1/load_lora_adapter", {"lora_name": "y"})
        assert (status, body["error"]["param"]) == (400, "body.lora_path")
        status, body = await post(client, "/v1/unload_lora_adapter", {"lora_name": "y"})
        assert (status, body["error"]["message"]) == (404, "The lora adapter 'y' cannot be found.")


async def test_an_unloaded_name_is_unknown(tmp_path: Path) -> None:
    first, _ = two(tmp_path)
    async with serving(*LORA) as client:
        await load(client, "x", first)
        async with client.post("/v1/unload_lora_adapter", json={"lora_name": "x"}) as response:
            assert (response.status, await response.text()) == (200, "Success: LoRA adapter 'x' removed successfully.")
        assert (await post(client, "/v1/completions", PROMPT | {"model": "x"}))[0] == 404


async def test_an_evicted_adapter_is_read_again_and_without_its_files_the_engine_dies(tmp_path: Path) -> None:
    first, second = two(tmp_path)
    async with serving(*LORA) as client:
        await load(client, "x", first)
        await load(client, "y", second)
        assert (await text(client, "x"))[1].split()[0] == weights_name(first)
        (second / "adapter_config.json").unlink()
        status, _ = await post(client, "/v1/completions", PROMPT | {"model": "y"})
        assert status == 500
        async with client.get("/health") as response:
            assert response.status == 503


async def test_without_the_variable_there_are_no_routes() -> None:
    async with serving() as client:
        assert (await load(client, "x", Path("/x")))[0] == 404
