"""LoRA adapters on the real vLLM, from a store through the fetcher to answers.

One fleet serves all tests, which run in this order: a real engine takes a minute to start.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from e2e.harness.images import Images
from e2e.harness.installation import Installation
from e2e.harness.namespace import ENGINE_SECONDS, Namespace, namespace
from e2e.harness.openai import Endpoint
from e2e.harness.tiny_adapter import make
from slmfleet.guard.adapter_files import digest

from .adapters import NAME, PROMPT, adapter, ask, asking, fetches, held, serves, short, stock, told, unknown

pytestmark = pytest.mark.vllm

FLEET = f"""
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: {NAME}
spec:
  model:
    uri: image:///models/tiny
  accelerator:
    class: cpu
  drain:
    timeout: 60s
  pod:
    resources:
      requests: {{cpu: 200m, memory: 2Gi}}
      limits: {{memory: 6Gi}}
  engine:
    version: 0.32.0
    image: $engine
    maxModelLen: 1024
    enforceEager: true
    kvCacheMemory: 512Mi
    lora: {{maxAdapters: 2, maxRank: 8, maxCpuAdapters: 4, claimName: adapters}}
"""
MADE: dict[str, dict[str, Any]] = {
    # folder -> what is unlike the others
    "v1": {},
    "v2": {},
    "sales": {},
    "rank": {"r": 16},
    "base": {"base_model_name_or_path": "another/model"},
    "wide": {"hidden": 256},
}
WRONG = f"sha256:{'0' * 64}"
REFUSED: list[tuple[str, dict[str, str], str, str, list[str]]] = [
    # name, folder, what its spec has besides -> condition, reason, what the message names
    ("rank", {}, "Accepted", "RankTooLarge", ["rank 16", "the 8 of the deployment", "spec.engine.lora.maxRank"]),
    ("base", {}, "Accepted", "BaseModelMismatch", ['spec.baseModel: "tiny"', '"another/model"']),
    ("weightless", {}, "Fetched", "NotFound", ["s3://adapters/weightless", "adapter_model.safetensors"]),
    ("nowhere", {}, "Fetched", "NotFound", ["s3://adapters/nowhere"]),
    ("pickled", {}, "Fetched", "PickleRefused", ["s3://adapters/pickled", "adapter_model.bin"]),
    ("digest", {"folder": "v1", "sha": WRONG}, "Fetched", "DigestMismatch", ["spec.source.digest", WRONG]),
    ("model", {"folder": "v1", "servedName": NAME}, "Accepted", "NameConflict", ["spec.servedName", f'"{NAME}"']),
    ("clash", {"folder": "v1", "servedName": "sales"}, "Accepted", "NameConflict", ["spec.servedName", '"sales"']),
]


@dataclass(frozen=True)
class Fleet:
    """One replica that answers, and the folders of the adapters."""

    chat: Namespace
    made: dict[str, Path]
    base: str
    """What the model itself answers."""


@pytest.fixture(scope="module")
def fleet(operator: Installation, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("adapters")
    with namespace(operator.cluster, images, f"adapters-vllm-{secrets.token_hex(2)}") as chat:
        (make(root / "weightless", 20) / "adapter_model.safetensors").unlink()
        (make(root / "pickled", 21) / "adapter_model.bin").write_bytes(b"\x80\x04N.")
        made = stock(chat, root, MADE)
        chat.apply(FLEET)
        chat.becomes_ready(NAME, within=ENGINE_SECONDS)
        with chat.service(NAME) as service:
            yield Fleet(chat, made, ask(service, NAME))


@pytest.fixture
def service(fleet: Fleet) -> Iterator[Endpoint]:
    with fleet.chat.service(NAME) as found:
        yield found


def test_adapters_answer_beside_their_model(fleet: Fleet, service: Endpoint) -> None:
    chat = fleet.chat
    chat.apply(adapter("legal", "v1", sha=digest(fleet.made["v1"])))
    chat.apply(adapter("sales", "sales"))
    serves(chat, "legal", fleet.made["v1"], pods=1)
    serves(chat, "sales", fleet.made["sales"], pods=1)

    texts = [ask(service, model) for model in (NAME, "legal", "sales")]
    assert texts[0] == fleet.base
    assert len(set(texts)) == 3, texts
    assert sorted(service.models()) == ["legal", "sales", NAME]
    assert unknown(service, f"legal@{short(fleet.made['v1'])}")
    assert chat.becomes(NAME, "AdaptersReady", "AdaptersReady").message == "all 2 adapters are ready"

    header, row, *_ = chat.kubectl("get", "lora").splitlines()
    assert header.split() == ["NAME", "DEPLOYMENT", "LOADED", "RANK", "VERSION", "PHASE", "AGE"]
    assert row.split()[:6] == ["legal", NAME, "1/1", "8", short(fleet.made["v1"]), "Ready"]


def test_a_new_version_takes_over_and_the_old_one_comes_back(fleet: Fleet, service: Endpoint) -> None:
    chat = fleet.chat
    first, sales = ask(service, "legal"), ask(service, "sales")
    with asking(service, "legal", clients=2, pause=0.5) as answers:  # the fetches need the machine too
        chat.apply(adapter("legal", "v2", sha=digest(fleet.made["v2"])))
        serves(chat, "legal", fleet.made["v2"], pods=1)
        second = ask(service, "legal")
        assert second not in {fleet.base, first, sales}
        fetched = fetches(chat, "legal")
        assert len(fetched) == 2, fetched
        chat.apply(adapter("legal", "v1", sha=digest(fleet.made["v1"])))
        serves(chat, "legal", fleet.made["v1"], pods=1)
        assert ask(service, "legal") == first
        assert fetches(chat, "legal") == fetched, "what is in the volume is not fetched again"
    assert answers.failures == []
    assert set(answers.texts) == {first, second}
    assert (ask(service, "sales"), ask(service, NAME)) == (sales, fleet.base)


def test_a_new_pod_answers_for_its_adapters_from_its_first_moment_on(fleet: Fleet, service: Endpoint) -> None:
    chat = fleet.chat
    legal, sales = ask(service, "legal"), ask(service, "sales")
    (before,) = chat.pods(NAME)
    chat.kubectl("delete", "pod", before["metadata"]["name"], "--now", "--wait=false")
    status, answer = _first_answer_of_another(chat, service, before["metadata"]["name"])
    assert status == 200, answer
    assert answer["choices"][0]["text"] == legal
    serves(chat, "legal", fleet.made["v1"], pods=1)
    serves(chat, "sales", fleet.made["sales"], pods=1)
    assert (ask(service, "sales"), ask(service, NAME)) == (sales, fleet.base)
    assert [event for name in ("legal", "sales") for event in told(chat, name) if event[0] == "Warning"] == []


@pytest.fixture(scope="module")
def refused(fleet: Fleet) -> None:
    """All that is to be refused, applied at once."""
    for name, more, *_ in REFUSED:
        spec = {key: value for key, value in more.items() if key != "folder"}
        fleet.chat.apply(adapter(name, str(more.get("folder", name)), **spec))


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize(("name", "more", "kind", "reason", "words"), REFUSED, ids=[each[0] for each in REFUSED])
def test_what_must_not_be_served_is_refused_with_the_field_that_helps(
    fleet: Fleet, service: Endpoint, name: str, more: dict[str, str], kind: str, reason: str, words: list[str]
) -> None:
    said = fleet.chat.becomes(name, kind, reason, of="lora")
    assert said.status == "False"
    assert [word for word in words if word not in said.message] == [], said.message
    assert fleet.chat.get("lora", name)["status"]["phase"] in ("Refused", "Failed")
    assert sorted(service.models()) == ["legal", "sales", NAME]
    if "servedName" not in more:
        assert unknown(service, name)


def test_matrices_that_do_not_fit_are_told_in_the_engines_words(fleet: Fleet, service: Endpoint) -> None:
    chat = fleet.chat
    chat.apply(adapter("wide", "wide"))
    said = chat.becomes("wide", "Loaded", "ShapeMismatch", of="lora")
    (pod,) = chat.pods(NAME)
    assert said.message == (
        f"pod {pod['metadata']['name']}: The size of tensor a (128) must match the size of tensor b (256) at "
        "non-singleton dimension 1: it was made for a model of another size, and this one needs one of its own"
    )
    assert unknown(service, "wide")
    assert ask(service, NAME) == fleet.base
    summed = chat.condition(NAME, "AdaptersReady")
    assert summed.status == "False", summed
    chat.kubectl("delete", "lora", "wide", "--timeout=20s")


def test_a_deleted_adapter_is_unloaded_and_the_others_go_on(fleet: Fleet, service: Endpoint) -> None:
    chat = fleet.chat
    sales = ask(service, "sales")
    with asking(service, "sales", clients=1) as answers:
        chat.kubectl("delete", "lora", "legal", *(each[0] for each in REFUSED), "--timeout=20s")
        chat.eventually(lambda: unknown(service, "legal"), "nobody answers for it")
        (pod,) = chat.pods(NAME)
        only = {f"sales@{short(fleet.made['sales'])}"}
        chat.eventually(lambda: set(held(chat, pod["metadata"]["name"])["adapters"]) == only, "it is unloaded")
    assert (answers.failures, set(answers.texts)) == ([], {sales})
    assert (sorted(service.models()), ask(service, NAME)) == (["sales", NAME], fleet.base)
    assert chat.becomes(NAME, "AdaptersReady", "AdaptersReady").message == "all 1 adapters are ready"


def _first_answer_of_another(chat: Namespace, service: Endpoint, before: str) -> tuple[int, Any]:
    """What the successor of a pod says first when it is asked for an adapter."""

    def answered() -> tuple[int, Any]:
        gone = chat.find("pod", before) is None
        try:
            found = service.call("POST", "/v1/completions", PROMPT | {"model": "legal"})
        except (OSError, HTTPException) as error:
            raise AssertionError(f"nobody answers: {error!r}") from None
        assert gone, f"{before} answered: {found}"
        return found

    return chat.eventually(answered, f"the successor of {before} answers", ENGINE_SECONDS)
