"""LoRA adapters: vLLM's routes and words, and the guard's table on top of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.contract.guarded import TOKEN, Guarded, started_guarded
from e2e.contract.servers import ANSWER_SECONDS, Answer, Implementation
from e2e.harness.tiny_adapter import make
from e2e.harness.waiting import eventually

ADMIN = {"X-Slmfleet-Token": TOKEN}
PROMPT = {"prompt": "hello", "max_tokens": 8, "temperature": 0.0}
V1, V2, OTHER = "legal@000000000001", "legal@000000000002", "sales@000000000003"


@pytest.fixture(scope="module")
def pod(implementation: Implementation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    root = tmp_path_factory.mktemp(f"adapters-{implementation.name}")
    for name, seed, config in (
        ("one", 1, {}),
        ("two", 2, {}),
        ("three", 3, {}),
        ("rank", 4, {"r": 16}),
        ("dora", 5, {"use_dora": True}),
        ("saved", 6, {"modules_to_save": ["lm_head"]}),
    ):
        make(root / "adapters" / name, seed, **config)
    with started_guarded(implementation, root, adapters=True) as guarded:
        yield guarded


def folder(pod: Guarded, name: str) -> str:
    return str(pod.folder.parent / "adapters" / name)


def load(pod: Guarded, name: str, path: str) -> Answer:
    return pod.server.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path}, headers=ADMIN)


def said(answer: Answer) -> str:
    text: str = answer.json["error"]["message"]
    return text


def text(pod: Guarded, model: str) -> str:
    answer = pod.server.post("/v1/completions", PROMPT | {"model": model})
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.json
    assert body["model"] == model
    found: str = body["choices"][0]["text"]
    return found


def put(pod: Guarded, table: dict[str, tuple[str, str | None]]) -> dict[str, Any]:
    """Give the pod a table and wait until it has done what it can: an alias moves a moment after its adapter's load."""
    entries = {name: {"path": folder(pod, path), "alias": alias} for name, (path, alias) in table.items()}
    answer = pod.server.put("/slmfleet/adapters", {"adapters": entries}, headers=ADMIN)
    assert answer.status == 202, answer.body

    def settled() -> dict[str, Any]:
        state: dict[str, Any] = pod.server.get("/slmfleet/adapters", headers=ADMIN).json
        states = {name: entry["state"] for name, entry in state["adapters"].items()}
        serving = {alias: name for name, (_, alias) in table.items() if alias and states.get(name) == "Loaded"}
        assert set(states) == set(table), state
        assert set(states.values()) <= {"Loaded", "Failed"}, state
        assert state["aliases"] == serving, state
        return state

    return eventually(settled, within=ANSWER_SECONDS, what="the pod has what the table says")


def test_adapters_are_not_for_clients_to_load(pod: Guarded) -> None:
    body = {"lora_name": "x", "lora_path": folder(pod, "one")}
    assert pod.server.post("/v1/load_lora_adapter", body).status == 403
    assert pod.server.put("/slmfleet/adapters", {"adapters": {}}).status == 403


def test_loading_and_unloading_say_what_vllm_says(pod: Guarded) -> None:
    loaded = load(pod, "x", folder(pod, "one"))
    assert (loaded.status, loaded.body) == (200, b"Success: LoRA adapter 'x' added successfully.")
    (card,) = [card for card in pod.server.get("/v1/models").json["data"] if card["id"] == "x"]
    assert (card["root"], card["parent"], card["max_model_len"]) == (folder(pod, "one"), "tiny", None)
    twice = load(pod, "x", folder(pod, "two"))
    assert (twice.status, "has already been loaded" in said(twice)) == (400, True)
    gone = pod.server.post("/v1/unload_lora_adapter", {"lora_name": "x"}, headers=ADMIN)
    assert (gone.status, gone.body) == (200, b"Success: LoRA adapter 'x' removed successfully.")
    again = pod.server.post("/v1/unload_lora_adapter", {"lora_name": "x"}, headers=ADMIN)
    assert (again.status, said(again)) == (404, "The lora adapter 'x' cannot be found.")


@pytest.mark.parametrize(
    ("name", "path", "status", "words"),
    [
        ("x", "none", 404, "No adapter found for"),
        ("tiny", "one", 400, "The lora adapter 'tiny' conflicts with a served base model."),
        ("x", "rank", 500, "LoRA rank 16 is greater than max_lora_rank 8."),
        ("x", "dora", 500, "vLLM does not yet support DoRA."),
        ("x", "saved", 500, "Unsupported modules_to_save: ['lm_head']"),
    ],
)
def test_refusals_are_vllms(pod: Guarded, name: str, path: str, status: int, words: str) -> None:
    answer = load(pod, name, folder(pod, path))
    assert (answer.status, words in said(answer)) == (status, True), answer.body


def test_a_missing_field_is_named(pod: Guarded) -> None:
    answer = pod.server.post("/v1/load_lora_adapter", {"lora_name": "x"}, headers=ADMIN)
    assert (answer.status, answer.json["error"]["param"]) == (400, "body.lora_path")


def test_versions_change_hands_and_the_base_model_stays(pod: Guarded) -> None:
    base = text(pod, "tiny")
    state = put(pod, {V1: ("one", "legal"), OTHER: ("three", "sales")})
    assert state["aliases"] == {"legal": V1, "sales": OTHER}
    first, other = text(pod, "legal"), text(pod, "sales")
    assert len({base, first, other}) == 3
    put(pod, {V1: ("one", None), V2: ("two", "legal"), OTHER: ("three", "sales")})
    second = text(pod, "legal")
    assert second not in {base, first, other}
    put(pod, {V1: ("one", "legal"), V2: ("two", None), OTHER: ("three", "sales")})
    assert (text(pod, "legal"), text(pod, "sales"), text(pod, "tiny")) == (first, other, base)
    assert pod.server.post("/v1/completions", PROMPT | {"model": V1}).status == 404
    *names, first_loaded, last_loaded = [card["id"] for card in pod.server.get("/v1/models").json["data"]]
    assert names == ["tiny", "tiny-alias"]
    assert {first_loaded, last_loaded} == {"legal", "sales"}  # the two loads run beside each other
    assert put(pod, {})["aliases"] == {}
    assert pod.server.post("/v1/completions", PROMPT | {"model": "legal"}).status == 404
    assert text(pod, "tiny") == base


def test_streams_carry_the_alias(pod: Guarded) -> None:
    put(pod, {V1: ("one", "legal")})
    chat = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    for path, body in (("/v1/completions", PROMPT), ("/v1/chat/completions", chat)):
        stream = pod.server.post(path, body | {"model": "legal", "stream": True})
        assert {event["model"] for event in stream.events} == {"legal"}
    put(pod, {})


@pytest.mark.parametrize(
    ("path", "reason"),
    [("none", "NotFound"), ("rank", "RankTooLarge"), ("dora", "Unsupported"), ("saved", "Unsupported")],
)
def test_the_guard_says_why_an_adapter_is_not_loaded(pod: Guarded, path: str, reason: str) -> None:
    state = put(pod, {V1: (path, "legal")})
    assert (state["adapters"][V1]["state"], state["adapters"][V1]["reason"]) == ("Failed", reason)
    assert state["aliases"] == {}
    put(pod, {})


@pytest.mark.parametrize("implementation", [pytest.param("vllm", marks=pytest.mark.vllm)], indirect=True)
def test_matrices_of_another_model_do_not_fit(pod: Guarded) -> None:
    make(Path(folder(pod, "wide")), 7, hidden=256)
    state = put(pod, {V1: ("wide", "legal")})
    assert (state["adapters"][V1]["state"], state["adapters"][V1]["reason"]) == ("Failed", "ShapeMismatch"), state
    put(pod, {})
