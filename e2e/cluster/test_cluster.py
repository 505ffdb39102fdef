"""The cluster itself: a pod works, a crash is recovered from, nothing stays behind. It restarts the running one.

python -m pytest e2e/cluster/test_cluster.py
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import firewall, host, images, leftovers, lifecycle, processes
from .console import ClusterError, Console
from .settings import REPOSITORY, Settings
from .shell import run

SETTINGS = Settings()
QUIET = Console(quiet=True)
NAMESPACE = "cluster-test"
POD_SECONDS = 300
"""From a pod's creation to its start or, of a short one, its end; 5 s on a machine with nothing else to do."""
PROBE = """
import json, socket, ssl, urllib.request
account = "/var/run/secrets/kubernetes.io/serviceaccount"
headers = {"Authorization": "Bearer " + open(account + "/token").read()}
request = urllib.request.Request("https://10.96.0.1/version", headers=headers)
answer = urllib.request.urlopen(request, context=ssl.create_default_context(cafile=account + "/ca.crt"), timeout=60)
name = socket.gethostbyname("kubernetes.default.svc.cluster.local")
try:
    socket.gethostbyname("outside.example")
except socket.gaierror as e:
    outside = e.errno
open("/data/written", "w").write("yes")
print(json.dumps({"version": json.load(answer)["gitVersion"], "name": name, "outside": outside == socket.EAI_NONAME}))
"""


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    return run([SETTINGS.bin / "kubectl", f"--kubeconfig={SETTINGS.kubeconfig}", *arguments], stdin=stdin)


def restricted_pod(name: str, image: str, code: str) -> str:
    container = {
        "name": "probe",
        "image": image,
        "args": [code],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
    return json.dumps(pod)


def probe_image() -> str:
    environment = {"PATH": f"{sys.base_prefix}/bin:{host.SYSTEM_PATH}"}
    return images.load(images.build("probe", files={}, entrypoint=["python3", "-c"], env=environment))


def finished(name: str) -> dict[str, object]:
    succeeded = "--for=jsonpath={.status.phase}=Succeeded"
    kubectl("-n", NAMESPACE, "wait", f"pod/{name}", succeeded, f"--timeout={POD_SECONDS}s")
    answer: dict[str, object] = json.loads(kubectl("-n", NAMESPACE, "logs", name))
    return answer


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Running before, and running after: others may be using it."""
    lifecycle.up(SETTINGS, QUIET)
    labels = "pod-security.kubernetes.io/enforce=restricted"
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, labels)
    kubectl("apply", "-f", "-", stdin=json.dumps(claim))
    yield
    lifecycle.up(SETTINGS, QUIET)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")


def check_a_restricted_pod(name: str) -> None:
    kubectl("apply", "-f", "-", stdin=restricted_pod(name, probe_image(), PROBE))
    assert finished(name) == {"version": "v1.35.4", "name": SETTINGS.api_service_ip, "outside": True}


def test_a_restricted_pod_reaches_the_api_resolves_names_and_writes_to_its_claim() -> None:
    check_a_restricted_pod("first")


def test_a_pod_that_is_not_restricted_is_refused() -> None:
    pod = json.loads(restricted_pod("refused", "any", ""))
    del pod["spec"]["securityContext"]
    with pytest.raises(Exception, match='violates PodSecurity "restricted'):
        kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def kill(*names: str) -> None:
    """End components without a chance to tidy up; returns when they are gone, which takes a busy machine a moment."""
    running = processes.components(SETTINGS.state)
    processes.stop([running[name] for name in names], SETTINGS.state, grace=0)


def test_up_is_quick_and_restarts_nothing_when_all_is_well() -> None:
    before = processes.components(SETTINGS.state)
    began = cpu_seconds()
    lifecycle.up(SETTINGS, QUIET)
    assert cpu_seconds() - began < 1
    assert processes.components(SETTINGS.state) == before


def cpu_seconds() -> float:
    """What this process and the commands that it ran have used: other work on the machine makes it hardly more."""
    return sum(os.times()[:4])


def test_up_restarts_only_what_died() -> None:
    before = processes.components(SETTINGS.state)
    kill("kube-scheduler")
    lifecycle.up(SETTINGS, QUIET)
    after = processes.components(SETTINGS.state)
    assert {name for name in after if after[name] != before[name]} == {"kube-scheduler"}


def test_pods_survive_the_loss_of_containerd() -> None:
    kubectl("apply", "-f", "-", stdin=restricted_pod("sleeper", probe_image(), "import time; time.sleep(600)"))
    kubectl("-n", NAMESPACE, "wait", "pod/sleeper", "--for=condition=Ready", f"--timeout={POD_SECONDS}s")
    before = members("sleeper")
    assert len(before) >= 2  # the pause process and the container's
    kill("containerd")
    lifecycle.up(SETTINGS, QUIET)
    assert before <= members("sleeper")


def members(pod: str) -> set[int]:
    """The processes of a pod; others come and go meanwhile, with probes and with namespaces that are being deleted."""
    uid = kubectl("-n", NAMESPACE, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
    files = [file for group in leftovers.cgroups(SETTINGS) for file in group.rglob(f"pod{uid}/*/cgroup.procs")]
    return {int(pid) for file in files for pid in file.read_text().split()}


def test_up_recovers_after_everything_was_killed() -> None:
    processes.stop(processes.ours(SETTINGS.state), SETTINGS.state, grace=0)
    # What they were about to start is there only now.
    processes.stop(processes.ours(SETTINGS.state), SETTINGS.state, grace=0)
    assert processes.ours(SETTINGS.state) == []
    lifecycle.up(SETTINGS, QUIET)
    check_a_restricted_pod("after-crash")


ENFORCE_AND_DIE = """
import os, signal, sys
from e2e.cluster import lifecycle, processes
from e2e.cluster.console import Console
from e2e.cluster.settings import Settings
with lifecycle.enforcing(Settings(), Console(quiet=True)):
    running = processes.components(Settings().state)
    processes.stop([running[name] for name in sys.argv[1:]], Settings().state, grace=0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def enforce_and_die(*victims: str) -> None:
    """Start the enforcement, kill these components, and end without a chance to tidy up."""
    done = subprocess.run([sys.executable, "-c", ENFORCE_AND_DIE, *victims], cwd=REPOSITORY, check=False)
    assert done.returncode == -signal.SIGKILL
    assert firewall.in_force()


def network_rules() -> tuple[list[str], list[str], list[str]]:
    """What iptables, ipset and nft hold, apart from what changes with the pods and Services."""
    tables = run(["nft", "list", "tables"]).splitlines()
    return run(["iptables", "-S"]).splitlines(), run(["ipset", "list", "-n"]).split(), sorted(tables)


@pytest.fixture
def filter_table() -> Iterator[None]:
    """The table that iptables makes when it is first written to goes again."""
    before = run(["nft", "list", "tables"])
    yield
    if "table ip filter" not in before:
        run(["nft", "delete", "table", "ip", "filter"])


@pytest.fixture
def strangers_rules(filter_table: None) -> Iterator[None]:  # noqa: ARG001 - around this one
    """A chain and a set that are not ours, though their names begin like ours."""
    host.install_packages(SETTINGS, QUIET, host.FIREWALL_PROGRAMS)
    run(["iptables", "-N", "KUBE-STRANGER"])
    run(["iptables", "-A", "FORWARD", "-s", "192.0.2.1", "-j", "KUBE-STRANGER"])
    run(["ipset", "create", "KUBE-STRANGER", "hash:ip"])
    yield
    run(["ipset", "destroy", "KUBE-STRANGER"])
    run(["iptables", "-D", "FORWARD", "-s", "192.0.2.1", "-j", "KUBE-STRANGER"])
    run(["iptables", "-X", "KUBE-STRANGER"])


@pytest.mark.usefixtures("strangers_rules")
def test_up_removes_what_a_killed_firewall_left_and_nothing_of_others() -> None:
    before = network_rules()
    enforce_and_die(firewall.NAME)
    lifecycle.up(SETTINGS, QUIET)
    assert network_rules() == before


@pytest.mark.usefixtures("filter_table")
def test_a_firewall_of_others_is_not_joined() -> None:
    run(["iptables", "-N", "KUBE-ROUTER-FORWARD"])
    try:
        before = network_rules()
        with pytest.raises(ClusterError, match="rules of another kube-router"), lifecycle.enforcing(SETTINGS, QUIET):
            pytest.fail("it is enforcing")
        assert network_rules() == before
    finally:
        run(["iptables", "-X", "KUBE-ROUTER-FORWARD"])


def test_down_leaves_nothing_and_the_objects_come_back() -> None:
    enforce_and_die()
    lifecycle.down(SETTINGS, QUIET)
    assert not firewall.in_force()
    assert run(["ipset", "list", "-n"]) == ""
    assert processes.ours(SETTINGS.state) == []
    assert list(leftovers.mounts(SETTINGS)) == []
    assert leftovers.cgroups(SETTINGS) == []
    assert not Path(f"/sys/class/net/{SETTINGS.bridge}").exists()
    assert list(Path("/sys/class/net").glob("veth*")) == []
    tables = run([host.program("nft"), "list", "tables"])
    assert SETTINGS.nft_table not in tables
    assert "kube-proxy" not in tables
    assert [path for path in host.FOREIGN_DIRECTORIES if Path(path).exists()] == []
    assert not (SETTINGS.state / "run").exists()
    lifecycle.up(SETTINGS, QUIET)
    assert "after-crash" in kubectl("-n", NAMESPACE, "get", "pods", "-o", "name")
    check_a_restricted_pod("after-down")


def test_a_component_keeps_nothing_of_its_starter_open(tmp_path: Path) -> None:
    end, inherited = os.pipe()
    os.set_inheritable(inherited, True)
    sleeper = ["/bin/sleep", "60"]
    pid = processes.spawn(sleeper, component="sleeper", digest="", state=tmp_path, log=tmp_path / "log", env={})
    try:
        os.close(inherited)
        readable, _, _ = select.select([end], [], [], 5)
        assert readable, "the other end of the pipe is still open"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(end)
