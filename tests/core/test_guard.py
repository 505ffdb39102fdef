"""The guard's objects: made before the pods that need them, never seen, never changed under a running pod."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from slmfleet.core.build.guard import config_map_of, secret_of, token
from slmfleet.core.names import Names
from slmfleet.core.revisions import HISTORY
from slmfleet.core.types import Manifest, Observed, Plan, Ref

from .make import CONFIG, applied, child, condition, counts, decide, pod, slm, stored

NEWER = replace(CONFIG, renderer="0.2.0", guard={"middleware.py": "# as in 0.2.0\n"})
OFF = {"guard": {"enabled": False}}
TOKEN = token(Names("support", "chat", "slm-uid"), CONFIG.key)


def kinds(plan: Plan) -> list[str]:
    return [manifest["kind"] for manifest in plan.apply]


def template(plan: Plan) -> Manifest:
    found: Manifest = child(plan, "Deployment")["spec"]["template"]
    return found


def container(plan: Plan) -> Manifest:
    (found,) = template(plan)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


# The pod


def test_the_engine_is_launched_with_the_guard_on_its_path() -> None:
    found = container(decide(Observed(slm())))
    folder = "/slmfleet/guard/slmfleet_guard"
    assert found["command"] == ["python3", f"{folder}/launch.py", "vllm.entrypoints.openai.api_server"]
    assert found["args"][found["args"].index("--middleware") + 1] == "slmfleet_guard.Guard"
    assert "PYTHONPATH" not in {entry["name"] for entry in found["env"]}
    mounts = {mount["name"]: mount for mount in found["volumeMounts"]}
    assert mounts["guard"] == {"name": "guard", "mountPath": folder, "readOnly": True}
    assert mounts["guard-state"] == {"name": "guard-state", "mountPath": "/slmfleet/state"}


def test_the_token_is_a_file_that_only_the_engines_group_reads() -> None:
    plan = decide(Observed(slm()))
    (volume,) = [v for v in template(plan)["spec"]["volumes"] if v["name"] == "guard"]
    assert volume["projected"] == {
        "defaultMode": 0o444,
        "sources": [
            {"configMap": {"name": child(plan, "ConfigMap")["metadata"]["name"]}},
            {
                "secret": {
                    "name": child(plan, "Secret")["metadata"]["name"],
                    "items": [{"key": "token", "path": "token", "mode": 0o440}],
                }
            },
        ],
    }


KEEP_ALIVE = "VLLM_HTTP_TIMEOUT_KEEP_ALIVE"


@pytest.mark.parametrize(
    ("env", "least", "quiet", "most"),
    [
        (None, 12, 6, 72),
        ([{"name": KEEP_ALIVE, "value": "65"}], 72, 66, 132),
        ([{"name": KEEP_ALIVE, "value": "0"}], 7, 1, 67),
        ([{"name": KEEP_ALIVE, "value": "99999"}], 607, 601, 667),
        ([{"name": KEEP_ALIVE, "value": "soon"}], 12, 6, 72),
        ([{"name": KEEP_ALIVE, "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}], 12, 6, 72),
    ],
)
def test_the_hook_outlasts_idle_connections_and_the_grace_period_outlasts_the_hook(
    env: list[dict[str, Any]] | None, least: int, quiet: int, most: int
) -> None:
    plan = decide(Observed(slm(drain={"timeout": "60s"}, **({"pod": {"env": env}} if env else {}))))
    hook = container(plan)["lifecycle"]["preStop"]["exec"]["command"]
    drain = "/slmfleet/guard/slmfleet_guard/drain.py"
    assert hook == ["python3", "-I", drain, "/slmfleet/state", str(least), str(quiet), str(most)]
    assert template(plan)["spec"]["terminationGracePeriodSeconds"] == most + 15


def test_without_the_guard_the_pod_is_a_plain_one() -> None:
    plan = decide(Observed(slm(**OFF)))
    assert not {"ConfigMap", "Secret"} & set(kinds(plan))
    found = container(plan)
    assert found["command"] == ["python3", "-m", "vllm.entrypoints.openai.api_server"]
    assert found["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}
    assert "--middleware" not in found["args"]
    assert "guard" not in json.dumps(template(plan))


# The files


def test_the_files_come_with_their_configuration_before_the_pods() -> None:
    plan = decide(Observed(slm(guard={"maxBody": "64Mi", "extraRoutes": ["POST /tokenize"]})))
    config_map = child(plan, "ConfigMap")
    assert config_map["immutable"] is True
    assert set(config_map["data"]) == {"middleware.py", "config.json"}
    wanted = {"maxBody": 64 * 2**20, "extraRoutes": ["POST /tokenize"], "state": "/slmfleet/state"}
    assert json.loads(config_map["data"]["config.json"]) == wanted
    assert kinds(plan).index("ConfigMap") < kinds(plan).index("Deployment")


def test_the_name_stands_for_the_content() -> None:
    names = [
        child(decide(Observed(slm(**spec)), config), "ConfigMap")["metadata"]["name"]
        for spec, config in (
            ({}, CONFIG),
            ({"replicas": 3}, CONFIG),
            ({"guard": {"maxBody": "33Mi"}}, CONFIG),
            ({}, NEWER),
        )
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert all(name.startswith("support-guard-") for name in names)


def test_a_newer_operator_keeps_the_files_of_the_running_template() -> None:
    observed = applied(slm(), **counts(1, 1))
    before = child(decide(observed), "ConfigMap")
    plan = decide(observed, NEWER)
    assert child(plan, "ConfigMap") == before
    assert condition(plan, "Progressing")[1] == "TemplateOutdated"
    assert plan.delete == ()


def test_a_newer_operator_makes_deleted_files_again_as_they_were() -> None:
    observed = applied(slm(), **counts(1, 1))
    before = child(decide(observed), "ConfigMap")
    left = {ref: m for ref, m in observed.children.items() if ref.kind != "ConfigMap"}
    assert child(decide(replace(observed, children=left), NEWER), "ConfigMap") == before


def test_a_template_from_before_the_guard_goes_on_without_it() -> None:
    unguarded = applied(slm(**OFF), **counts(1, 1))
    (ref,) = [ref for ref in unguarded.children if ref.kind == "ControllerRevision"]
    del unguarded.children[ref]["data"]["inputs"]["spec"]["guard"]  # as an older release stored it
    plan = decide(Observed(slm(), children=unguarded.children))
    assert condition(plan, "Progressing")[1] == "TemplateOutdated"
    assert not {"ConfigMap", "Secret"} & set(kinds(plan))


def test_files_are_kept_while_a_stored_template_mounts_them_and_go_with_it() -> None:
    observed = applied(slm(), **counts(1, 1))
    children = dict(observed.children)
    first = {ref.name for ref in children if ref.kind == "ConfigMap"}
    for number in range(HISTORY):
        plan = decide(Observed(slm(guard={"maxBody": f"{number + 2}Mi"}), children=children))
        assert plan.delete == ()
        children |= {
            Ref.of(m): stored(m) | {"metadata": stored(m)["metadata"] | {"uid": f"{m['kind']}-{number}"}}
            for m in plan.apply
            if m["kind"] in ("ConfigMap", "ControllerRevision", "Deployment")
        }
    last = Observed(slm(guard={"maxBody": "1Gi"}), children=children)
    assert {ref.kind: ref.name for ref in decide(last).delete}["ConfigMap"] in first
    assert len(decide(last).delete) == 2
    runs = pod() | {"spec": template(decide(observed))["spec"]}
    assert [ref.kind for ref in decide(replace(last, pods=(runs,))).delete] == ["ControllerRevision"]


def test_a_strangers_config_map_is_not_ours_to_delete() -> None:
    observed = applied(slm(**OFF), **counts(1, 1))
    stranger = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "uid": "x"}}
    assert decide(replace(observed, children={**observed.children, Ref.of(stranger): stranger})).delete == ()


# The token


def test_the_secret_is_made_first_and_once() -> None:
    observed = applied(slm())
    assert kinds(decide(Observed(slm())))[0] == "Secret"
    assert "Secret" not in kinds(decide(observed))
    assert "Secret" not in kinds(decide(Observed(slm(replicas=3), children=observed.children)))
    assert "Secret" not in kinds(decide(Observed(slm(guard={"maxBody": "2Mi"}), children=observed.children)))


def test_the_secret_is_made_when_the_running_template_has_none_yet() -> None:
    observed = applied(slm(**OFF), **counts(1, 1))
    assert kinds(decide(Observed(slm(), children=observed.children)))[0] == "Secret"


def test_the_secret_is_made_again_when_a_pod_misses_it() -> None:
    observed = applied(slm(), pod(container={"state": {"waiting": {"reason": "ContainerCreating"}}}))
    name = secret_of(template(decide(observed)))
    words = f'FailedMount: MountVolume.SetUp failed for volume "guard" : secret "{name}" not found'
    assert kinds(decide(replace(observed, answers={"p/events/1": words})))[0] == "Secret"
    for other in (words.replace(str(name), "hf-token"), words.replace("not found", "is forbidden"), ""):
        assert "Secret" not in kinds(decide(replace(observed, answers={"p/events/1": other})))


def test_a_paused_fleet_gets_none() -> None:
    assert decide(Observed(slm(paused=True))).apply == ()


def test_a_secret_of_a_lost_key_cannot_be_made_again_and_the_template_stays() -> None:
    observed = applied(slm(), **counts(1, 1))
    lost = replace(CONFIG, key=b"another key")
    name = secret_of(template(decide(observed, lost)))
    assert name == secret_of(template(decide(observed)))
    words = f'FailedMount: secret "{name}" not found'
    assert "Secret" not in kinds(decide(replace(observed, answers={"p/events/1": words}), lost))
    rolled = decide(Observed(slm(rollout={"onOperatorUpgrade": "Roll"}), children=observed.children), lost)
    assert kinds(rolled)[0] == "Secret"
    assert child(rolled, "Secret")["metadata"]["name"] == secret_of(template(rolled)) != name


def test_the_token_stands_in_the_secret_and_nowhere_else() -> None:
    plan = decide(Observed(slm()))
    secret = child(plan, "Secret")
    assert secret["immutable"] is True
    assert base64.b64decode(secret["data"]["token"]).decode() == TOKEN
    elsewhere = repr([m for m in plan.apply if m["kind"] != "Secret"]) + repr((plan.status, plan.events, CONFIG))
    for secret_text in (TOKEN, secret["data"]["token"], CONFIG.key.decode(), TOKEN[:12]):
        assert secret_text not in elsewhere


@pytest.mark.parametrize(
    "other", [Names("support", "chat", "uid-2"), Names("support2", "chat", "uid"), Names("support", "rag", "uid")]
)
def test_every_fleet_has_a_token_of_its_own(other: Names) -> None:
    names = Names("support", "chat", "uid")
    assert token(names, b"key") != token(other, b"key")
    assert token(names, b"key") != token(names, b"another key")
    assert token(names, b"key") == token(Names("support", "chat", "uid"), b"key")
    assert len(token(names, b"key")) == 64


def test_what_a_template_mounts_can_be_read_from_it() -> None:
    plan = decide(Observed(slm()))
    assert config_map_of(template(plan)) == child(plan, "ConfigMap")["metadata"]["name"]
    assert secret_of({"spec": {}}) is None
    assert config_map_of(template(decide(Observed(slm(**OFF))))) is None
