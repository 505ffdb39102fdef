"""LoRA adapters on fleets that change: nobody is answered wrongly, and nothing hangs.

The engines are simulators, whose answers begin with a digest of the weights that they come from.
"""

from pathlib import Path

from e2e.harness.installation import TAKEOVER_SECONDS, Installation
from e2e.harness.namespace import PATIENCE_SECONDS, Namespace
from e2e.harness.reach import reach
from slmfleet.guard.adapter_files import digest
from slmfleet.simulator.adapters import weights_name

from .adapters import NAME, adapter, ask, asking, fetches, fleet, held, serves, short, stock, told, unknown

LABEL = "adapter.slmfleet.dev/legal=true"
LOAD_SECONDS = 30
"""Of engines that are so slow that a load could not be missed."""


def test_replicas_come_and_go_and_adapters_are_answered_rightly_throughout(chat: Namespace, tmp_path: Path) -> None:
    made = stock(chat, tmp_path, {"legal": {}, "sales": {}})
    chat.apply(fleet())
    for name in made:
        chat.apply(adapter(name, name))
    for name, folder in made.items():
        serves(chat, name, folder, pods=1)
    assert chat.becomes(NAME, "AdaptersReady", "AdaptersReady").status == "True"
    with (
        chat.service(NAME) as service,
        asking(service, "legal") as legal,
        asking(service, "sales") as sales,
        asking(service, NAME, clients=1) as base,
    ):
        chat.kubectl("scale", "slm", NAME, "--replicas=3")
        for name, folder in made.items():
            serves(chat, name, folder, pods=3)
        chat.kubectl("scale", "slm", NAME, "--replicas=1")
        chat.eventually(lambda: len(_pods(chat)) == 1, "one pod is left")
        for name, folder in made.items():
            serves(chat, name, folder, pods=1)
    assert [legal.failures, sales.failures, base.failures] == [[], [], []]
    assert legal.first_words == {weights_name(made["legal"])}
    assert sales.first_words == {weights_name(made["sales"])}
    assert not any(word.startswith("lora-") for word in base.first_words)
    assert [event for name in made for event in told(chat, name) if event[0] == "Warning"] == []


def test_an_adapter_of_some_replicas_is_reached_by_its_own_service(chat: Namespace, tmp_path: Path) -> None:
    made = stock(chat, tmp_path, {"legal": {}})
    chat.apply(fleet(replicas=3))
    chat.becomes_ready(NAME)
    chat.apply(adapter("legal", "legal", placement={"replicas": 2}, endpoint={"service": True}))
    serves(chat, "legal", made["legal"], pods=2)
    chosen = chat.eventually(lambda: _labelled(chat, 2), "two pods are labelled")
    for pod in chat.pods(NAME):
        name = pod["metadata"]["name"]
        with reach(chat.cluster, chat.name, f"pod/{name}", 8000) as endpoint:
            assert unknown(endpoint, "legal") == (name not in chosen), name

    gone, stays = chosen
    with chat.service("legal-adapter") as service, asking(service, "legal") as answers:
        chat.kubectl("delete", "pod", gone, "--wait=false")

        def replaced() -> bool:
            return gone not in (pair := _labelled(chat, 2)) and stays in pair

        chat.eventually(replaced, "another pod has it, and the one that had it keeps it")
        serves(chat, "legal", made["legal"], pods=2)
        chat.eventually(lambda: len(_pods(chat)) == 3, "the deleted pod is gone")

        chat.apply(adapter("legal", "legal", placement={"replicas": 1}, endpoint={"service": True}))
        serves(chat, "legal", made["legal"], pods=1)
        (left,) = chat.eventually(lambda: _labelled(chat, 1), "one of the two leaves the Service")

        def only_there() -> bool:
            return [name for name in _pods(chat) if held(chat, name)["adapters"]] == [left]

        chat.eventually(only_there, "the others have it no more")

        chat.kubectl("delete", "pod", left, "--wait=false")
        chat.eventually(lambda: left not in _pods(chat), "the only one that had it is gone")
        serves(chat, "legal", made["legal"], pods=1)
    assert answers.failures == []
    assert answers.first_words == {weights_name(made["legal"])}


def test_a_return_to_the_version_before_takes_neither_a_fetch_nor_a_load(chat: Namespace, tmp_path: Path) -> None:
    made = stock(chat, tmp_path, {"v1": {}, "v2": {}})
    chat.apply(fleet(replicas=2, LORA_LOAD_SECONDS=LOAD_SECONDS))
    wanted = {name: adapter("legal", name, sha=digest(folder), rollout={"soak": "5m"}) for name, folder in made.items()}
    chat.apply(wanted["v1"])
    serves(chat, "legal", made["v1"], pods=2)
    with chat.service(NAME) as service, asking(service, "legal") as answers:
        chat.apply(wanted["v2"])
        serves(chat, "legal", made["v2"], pods=2)
        fetched = fetches(chat, "legal")
        chat.apply(wanted["v1"])
        serves(chat, "legal", made["v1"], pods=2, within=LOAD_SECONDS)
        assert fetches(chat, "legal") == fetched
    assert len(fetched) == 2, fetched
    assert answers.failures == []
    assert answers.first_words == {weights_name(made["v1"]), weights_name(made["v2"])}
    assert answers.texts[-1].split()[0] == weights_name(made["v1"])


def test_a_killed_operator_leaves_a_new_version_to_its_successor(
    chat: Namespace, operator: Installation, tmp_path: Path
) -> None:
    made = stock(chat, tmp_path, {"v1": {}, "v2": {}})
    chat.apply(fleet(replicas=2, LORA_LOAD_SECONDS=12))
    chat.apply(adapter("legal", "v1"))
    serves(chat, "legal", made["v1"], pods=2)
    wanted = f"legal@{short(made['v2'])}"
    pods = [pod["metadata"]["name"] for pod in chat.pods(NAME)]
    operator.complete()
    with chat.service(NAME) as service, asking(service, "legal") as answers:
        chat.apply(adapter("legal", "v2"))
        chat.eventually(lambda: all(wanted in held(chat, pod)["adapters"] for pod in pods), "both pods are told")
        operator.kill(operator.leader())
        for pod in pods:
            assert held(chat, pod)["aliases"] == {"legal": f"legal@{short(made['v1'])}"}, "the name has not moved yet"
        serves(chat, "legal", made["v2"], pods=2, within=TAKEOVER_SECONDS + PATIENCE_SECONDS)
    assert answers.failures == []
    assert answers.first_words == {weights_name(made["v1"]), weights_name(made["v2"])}
    assert answers.texts[-1].split()[0] == weights_name(made["v2"])
    chat.eventually(lambda: all(set(held(chat, pod)["adapters"]) == {wanted} for pod in pods), "the old one is gone")


def test_an_engine_that_dies_while_it_loads_is_followed_by_one_that_has_all(chat: Namespace, tmp_path: Path) -> None:
    made = stock(chat, tmp_path, {"v1": {}, "v2": {}})
    chat.apply(fleet(replicas=2, LORA_LOAD_SECONDS=8))
    chat.apply(adapter("legal", "v1"))
    serves(chat, "legal", made["v1"], pods=2)
    wanted = f"legal@{short(made['v2'])}"
    pods = [pod["metadata"]["name"] for pod in chat.pods(NAME)]
    with chat.service(NAME) as service, asking(service, "legal") as answers:
        chat.apply(adapter("legal", "v2"))
        chat.eventually(lambda: wanted in held(chat, pods[0])["adapters"], "it is told")
        chat.kubectl("delete", "pod", pods[0], "--now", "--wait=false")
        chat.eventually(lambda: pods[0] not in _pods(chat), "it is gone")
        chat.eventually(lambda: len(chat.pods(NAME)) == 2, "another one comes")
        serves(chat, "legal", made["v2"], pods=2)
        assert ask(service, "legal").split()[0] == weights_name(made["v2"])
    # An engine that dies may break connections and answer 5xx; any other answer is in the adapter's words.
    assert [failure for failure in answers.failures if failure.startswith("AssertionError")] == []
    assert answers.first_words == {weights_name(made["v1"]), weights_name(made["v2"])}


def test_an_engine_that_crashes_while_no_operator_works_is_back_with_its_adapters(
    chat: Namespace, operator: Installation, tmp_path: Path
) -> None:
    made = stock(chat, tmp_path, {"legal": {}, "sales": {}})
    chat.apply(fleet(replicas=2, START_SECONDS=5))
    chat.apply(adapter("sales", "sales"))
    chat.apply(adapter("legal", "legal", placement={"replicas": 1}, endpoint={"service": True}))
    for name, pods in {"sales": 2, "legal": 1}.items():
        serves(chat, name, made[name], pods=pods)
    (pod,) = chat.eventually(lambda: _labelled(chat, 1), "one pod is labelled")
    file = ("kubectl", "-n", chat.name, "exec", pod, "--", "cat", "/etc/slmfleet-adapters/table.json")

    def written() -> bool:  # there is no file before
        return pod in chat.cluster.commands.run(*file).stdout

    chat.eventually(written, "the kubelet has written what starts with an engine")
    with operator.away():
        chat.crash(pod)
        chat.eventually(lambda: chat.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"] == 1, "it ends")

        def back() -> bool:
            (said,) = chat.get("pod", pod)["status"]["containerStatuses"]
            return bool(said["ready"])

        chat.eventually(back, "it is ready again")
        assert set(held(chat, pod)["aliases"]) == {"legal", "sales"}
        with chat.service("legal-adapter") as service:
            assert ask(service, "legal").split()[0] == weights_name(made["legal"])


def test_adapters_and_their_deployment_go_in_any_order(chat: Namespace, tmp_path: Path) -> None:
    made = stock(chat, tmp_path, {"legal": {}, "sales": {}})
    chat.apply(fleet())
    for name, folder in made.items():
        chat.apply(adapter(name, name))
        serves(chat, name, folder, pods=1)

    chat.kubectl("delete", "slm", NAME)
    for name in made:
        said = chat.becomes(name, "Accepted", "DeploymentMissing", of="lora")
        assert (said.status, f'spec.deploymentRef.name: there is no SLMDeployment "{NAME}"' in said.message) == (
            "False",
            True,
        )
        status = chat.get("lora", name)["status"]
        assert (status["phase"], status["loaded"]) == ("Pending", "0/0")
    chat.kubectl("delete", "lora", "legal", "--timeout=20s")
    chat.eventually(lambda: not fetches(chat, "legal"), "its Job is gone with it")

    chat.eventually(lambda: not _pods(chat), "the engines are gone")
    chat.apply(fleet())
    serves(chat, "sales", made["sales"], pods=1)
    with chat.service(NAME) as service:
        assert ask(service, "sales").split()[0] == weights_name(made["sales"])
        assert unknown(service, "legal")

    chat.kubectl("delete", "slm,lora", "--all", "--timeout=20s")
    chat.eventually(lambda: not fetches(chat, "sales") and not _pods(chat), "nothing is left")


def test_more_adapters_than_slots_are_refused_instead_of_evicted(chat: Namespace, tmp_path: Path) -> None:
    made = stock(chat, tmp_path, {"first": {}, "second": {}, "next": {}, "third": {}})
    chat.apply(fleet(slots=2))
    for name in ("first", "second"):
        chat.apply(adapter(name, name))
        serves(chat, name, made[name], pods=1)
    chat.eventually(lambda: len(told(chat, "first")) >= 3, "its way is told")
    assert [event[:2] for event in told(chat, "first")] == [
        ("Normal", "Fetched"),
        ("Normal", "Loaded"),
        ("Normal", "Ready"),
    ]

    chat.apply(adapter("third", "third"))
    refused = chat.becomes("third", "Accepted", "NoSlot", of="lora")
    assert refused.message.startswith(f"the 2 slots of {NAME} are taken by older adapters"), refused
    assert "spec.engine.lora.maxCpuAdapters" in refused.message
    chat.apply(adapter("second", "next"))
    waits = chat.becomes("second", "Loaded", "NoSlot", of="lora")
    assert waits.message == (
        f"a new version is loaded beside the old one, and {NAME} has no free slot for it: raise its "
        f"spec.engine.lora.maxCpuAdapters, and its pods roll; version {short(made['second'])} serves until then"
    )
    chat.eventually(lambda: ("Warning", "NoSlot", waits.message) in told(chat, "second"), "an event says so too")
    summed = chat.becomes(NAME, "AdaptersReady", "NoSlot")
    assert summed.message.startswith("1 of 3 adapters are ready; "), summed
    with chat.service(NAME) as service:
        assert unknown(service, "third")
        for name in ("first", "second"):
            assert ask(service, name).split()[0] == weights_name(made[name])

        chat.kubectl("delete", "lora", "first", "--timeout=20s")
        serves(chat, "third", made["third"], pods=1)
        assert ask(service, "third").split()[0] == weights_name(made["third"])
        assert ask(service, "second").split()[0] == weights_name(made["second"]), "who waits keeps what it has"
        assert unknown(service, "first")

        chat.kubectl("delete", "lora", "third", "--timeout=20s")
        serves(chat, "second", made["next"], pods=1)
        assert ask(service, "second").split()[0] == weights_name(made["next"])


def _pods(chat: Namespace) -> list[str]:
    """The fleet's pods, those on their way out as well."""
    return [pod["metadata"]["name"] for pod in chat.objects("pod", f"slmfleet.dev/deployment={NAME}")]


def _labelled(chat: Namespace, count: int) -> list[str]:
    """The pods that the adapter's Service selects: as many as it should."""
    found = [p["metadata"]["name"] for p in chat.objects("pod", LABEL) if "deletionTimestamp" not in p["metadata"]]
    assert len(found) == count, found
    return found
