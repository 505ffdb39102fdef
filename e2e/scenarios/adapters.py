"""What the scenarios of adapters share: tiny adapters in a store, and clients that read what they are answered."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from e2e.harness.api import Object
from e2e.harness.namespace import PATIENCE_SECONDS, Namespace
from e2e.harness.openai import Endpoint
from e2e.harness.reach import reach
from e2e.harness.store import BUCKET, store
from e2e.harness.tiny_adapter import make
from slmfleet.core.names import ADAPTER
from slmfleet.guard.adapter_files import digest

NAME = "support"
PROMPT = {"prompt": "hello", "max_tokens": 8, "temperature": 0.0}
_ID = "AKIAEXAMPLE"
_KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": "endpoint"}
"""The Secret names its keys in its own way."""
_CLAIM: Object = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "adapters"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def fleet(replicas: int = 1, slots: int = 4, **simulator: object) -> str:
    """Engines of the simulator for adapters; `slots` is how many each can keep."""
    settings = {"START_SECONDS": 1, "DECODE_STEP_MS": 5} | simulator
    env = "".join(f'\n      - {{name: SLMFLEET_SIM_{name}, value: "{value}"}}' for name, value in settings.items())
    return f"""
apiVersion: slmfleet.dev/v1alpha1
kind: SLMDeployment
metadata:
  name: {NAME}
spec:
  replicas: {replicas}
  model:
    uri: image:///models/tiny
  engine:
    version: 0.32.0
    image: $simulator
    lora: {{maxAdapters: 2, maxRank: 8, maxCpuAdapters: {slots}, claimName: adapters}}
  accelerator:
    class: cpu
  drain:
    timeout: 20s
  pod:
    resources:
      requests: {{cpu: 20m, memory: 96Mi}}
    env:{env}
"""


def stock(chat: Namespace, root: Path, adapters: Mapping[str, Mapping[str, Any]]) -> dict[str, Path]:
    """Make adapters, put them into a store of this namespace, and the claim and the Secret beside it; their folders.

    By name: what make() takes. A folder of `root` that is there already goes into the store as it is.
    """
    for seed, (name, config) in enumerate(adapters.items(), 1):
        make(root / name, seed, **config)
    folders = {folder.name: folder for folder in sorted(root.iterdir())}
    files = {f"{name}/{file.name}": file.read_bytes() for name, each in folders.items() for file in each.iterdir()}
    address = store(chat, files, _ID)
    secret: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s3"},
        "stringData": {"id": _ID, "secret": "sec-ret-value", "endpoint": address},
    }
    chat.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [_CLAIM, secret]}))
    return folders


def adapter(name: str, folder: str, *, sha: str | None = None, **spec: Any) -> str:  # noqa: ANN401 - JSON
    """A LoRAAdapter of the fleet, from a folder of the store; `spec` as in the manifest, `sha` its digest."""
    source = {"uri": f"s3://{BUCKET}/{folder}", "secretRef": {"name": "s3", "keys": _KEYS}}
    whole = {
        "deploymentRef": {"name": NAME},
        "source": source | ({} if sha is None else {"digest": sha}),
        "baseModel": "tiny",
        "rollout": {"soak": "2s"},
        **spec,
    }
    return json.dumps(
        {"apiVersion": "slmfleet.dev/v1alpha1", "kind": "LoRAAdapter", "metadata": {"name": name}, "spec": whole}
    )


def short(folder: Path) -> str:
    """The version that status shows for a folder."""
    return digest(folder).removeprefix("sha256:")[:12]


def serves(chat: Namespace, name: str, folder: Path, pods: int, within: float = PATIENCE_SECONDS) -> None:
    """Wait until an adapter is Ready with the version of a folder, in so many pods."""

    def said() -> bool:
        chat.condition(name, "Ready", of="lora")
        status = chat.get("lora", name)["status"]
        found = (status["phase"], status["version"], status["loaded"])
        assert found == ("Ready", short(folder), f"{pods}/{pods}"), str(found)
        return True

    chat.eventually(said, f"{name} is served by {pods} pods as in {folder.name}", within)


def fetches(chat: Namespace, name: str) -> set[str]:
    """The Jobs that fetch for a LoRAAdapter or have fetched, by name and uid: one that was made anew is another one."""
    jobs = (job["metadata"] for job in chat.objects("job", f"{ADAPTER}={name}"))
    return {f"{job['name']} {job['uid']}" for job in jobs}


def ask(endpoint: Endpoint, model: str) -> str:
    """The text that answers the prompt. OSError where the engine has no answer (5xx), AssertionError for a wrong one.

    An engine that dies says 500 to whom its Service still sends there.
    """
    status, answer = endpoint.call("POST", "/v1/completions", PROMPT | {"model": model})
    if status >= 500:
        raise OSError(f"{model}: {status} {answer}")
    assert status == 200, f"{model}: {status} {answer}"
    assert answer["model"] == model, answer
    return str(answer["choices"][0]["text"])


def unknown(endpoint: Endpoint, model: str) -> bool:
    """Whether a client is told that there is no model of this name."""
    status, answer = endpoint.call("POST", "/v1/completions", PROMPT | {"model": model})
    assert status in (200, 404), f"{model}: {status} {answer}"
    if status == 200:
        return False
    assert answer["error"]["message"].startswith(f"The model `{model}` does not exist."), answer
    return True


def told(chat: Namespace, name: str) -> list[tuple[str, str, str]]:
    """The events of a LoRAAdapter as (type, reason, text), as often as each was told, in the order of their first."""
    found = [each for each in chat.objects("event") if each["regarding"]["kind"] == "LoRAAdapter"]
    return [
        (event["type"], event["reason"], event["note"])
        for event in sorted(found, key=lambda each: str(each["eventTime"]))
        for _ in range(event.get("series", {}).get("count", 1))
        if event["regarding"]["name"] == name
    ]


@dataclass
class Answers:
    """What clients of one model have been answered, in the order of their ends."""

    texts: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def first_words(self) -> set[str]:
        """How the answers begin: an engine of the simulator says there whose weights answered."""
        return {text.split()[0] for text in self.texts}


@contextmanager
def asking(endpoint: Endpoint, model: str, clients: int = 3, pause: float = 0.1) -> Iterator[Answers]:
    """Clients that ask the same again and again, each time over a connection of its own, while the body runs."""
    answers, stop = Answers(), threading.Event()

    def live() -> None:
        while not stop.is_set():
            try:
                answers.texts.append(ask(endpoint, model))
            except (OSError, HTTPException, AssertionError) as error:
                answers.failures.append(f"{type(error).__name__}: {error}")
            stop.wait(pause)

    threads = [threading.Thread(target=live, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def held(chat: Namespace, pod: str) -> dict[str, Any]:
    """What the guard of a pod says about its adapters; AssertionError while nobody answers there."""
    with reach(chat.cluster, chat.name, f"pod/{pod}", 8000) as endpoint:
        try:
            status, told = endpoint.call("GET", "/slmfleet/adapters", X_Slmfleet_Token=chat.guard_token(NAME))
        except (OSError, HTTPException) as error:
            raise AssertionError(f"{pod} does not answer: {error!r}") from None
    assert status == 200, told
    found: dict[str, Any] = told
    return found
