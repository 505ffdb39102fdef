"""Starting, stopping and looking at the cluster."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import configs, firewall, gotools, host, images, leftovers, objects, pki, processes
from .api import Api
from .components import Component, all_components
from .console import ClusterError, Console
from .settings import Settings
from .shell import locked, tail, wait_until

# What may start together; each group needs the ones before it.
START_ORDER = (
    ("etcd", "containerd"),
    ("kube-apiserver",),
    ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns"),
)
START_SECONDS = 180.0
STOP_SECONDS = 5.0


def up(settings: Settings, console: Console) -> None:
    """Build, start or repair whatever is needed; fine to call at any time."""
    host.require_root()
    host.require_visible(settings.cache)
    with _exclusive(settings):
        host.install_packages(settings, console)
        gotools.build([tool for tool in gotools.tools() if not tool.on_demand], settings, console)
        if not pki.exists(settings):
            _stop_everything(settings)  # of an earlier state directory, removed under the running cluster
        pki.ensure(settings)
        settings.engine.mkdir(parents=True, exist_ok=True)
        configs.write_all(settings, images.pause_image(settings).ref)
        _bring_up(settings, console)


def down(settings: Settings, console: Console) -> None:
    """Stop everything and put the machine back; the cluster's objects and images stay for the next `up`."""
    host.require_root()
    with _exclusive(settings), console.step("cluster stopped"):
        _stop_everything(settings)
        leftovers.remove_compiled_in_directories(settings)
        host.disconnect(settings)


def purge(settings: Settings, console: Console) -> None:
    """`down`, and forget the cluster's objects and images; the builds stay."""
    down(settings, console)
    shutil.rmtree(settings.state, ignore_errors=True)
    if settings.state.exists():
        raise ClusterError(f"{settings.state} can't be deleted completely; look at what is left: find {settings.state}")
    settings.kubeconfig.unlink(missing_ok=True)
    console.say(f"deleted {settings.state}")


@contextmanager
def enforcing(settings: Settings, console: Console) -> Iterator[None]:
    """NetworkPolicies are enforced for as long as the body runs; the cluster must be up."""
    with _exclusive(settings):
        host.install_packages(settings, console, host.FIREWALL_PROGRAMS)
        gotools.ensure(firewall.NAME, settings, console)
        firewall.prepare(settings)
        _start([firewall.component(settings)], settings, console)
    try:
        yield
    finally:
        with _exclusive(settings):
            _end_firewall(settings)


def status(settings: Settings, console: Console) -> bool:
    """One line per component; the last log lines of those that don't work. True if all is well."""
    if not pki.exists(settings) or not (settings.config / "Corefile").exists():
        console.out("the cluster was never started: python -m e2e.cluster up")
        return False
    running = processes.components(settings.state)
    healthy = True
    for component in all_components(settings):
        process = running.get(component.name)
        if process and component.ready():
            console.out(f"{component.name:<24} running   pid {process.pid}, {processes.uptime(process):.0f}s")
            continue
        healthy = False
        console.out(f"{component.name:<24} {'not ready' if process else 'stopped'}")
        if running:
            console.out(_log_tail(settings, component.name, lines=5))
    if "kube-apiserver" in running and Api(settings).ready():
        ready = objects.node_ready(settings, Api(settings))
        console.out(f"{'node ' + settings.node:<24} {'Ready' if ready else 'not Ready'}")
        healthy = healthy and ready
    return healthy


def environment(settings: Settings) -> str:
    """Shell lines that make kubectl and helm talk to this cluster."""
    return f'export KUBECONFIG="{settings.kubeconfig}"\nexport PATH="{settings.bin}:$PATH"'


@contextmanager
def _exclusive(settings: Settings) -> Iterator[None]:
    """One command at a time changes the cluster, and one cluster at a time runs on a machine."""
    for other in processes.other_states(settings.state):
        # It has the same ports, bridge and cgroup: cleaning up here would end its containers.
        raise ClusterError(
            f"another cluster runs on this machine, from {other}; stop it first: "
            f"SLMFLEET_CACHE={Path(other).parent} python -m e2e.cluster down"
        )
    with locked(settings.cache / "lock"):
        yield


def _bring_up(settings: Settings, console: Console) -> None:
    running = processes.components(settings.state)
    if "containerd" not in running and "kubelet" not in running:
        leftovers.sweep(settings)  # of a crash or a reboot: nobody takes care of the containers any more
    if firewall.NAME not in running:
        _end_firewall(settings)  # it was killed: what it left blocks whoever gets its pods' addresses next
    host.connect(settings)
    leftovers.make_cgroups(settings)
    everything = {component.name: component for component in all_components(settings)}
    kubelet_started: float | None = None
    for group in START_ORDER:
        now = time.time()
        started = _start([everything[name] for name in group], settings, console)
        if "containerd" in group:
            images.load(images.pause_image(settings), settings)
        if "kubelet" in started:
            kubelet_started = now
    api = Api(settings)
    objects.wait_for_node(settings, api, kubelet_started)
    objects.apply_all(settings, api)
    if kubelet_started:
        console.say(f"node {settings.node} Ready, {settings.gpu_resource}: {settings.gpus}")


def _start(group: Sequence[Component], settings: Settings, console: Console) -> list[str]:
    """Start those that don't run, or run with another configuration; wait until the whole group is ready."""
    began = time.monotonic()
    running = processes.components(settings.state)
    stale = [c for c in group if c.name not in running or running[c.name].digest != c.digest()]
    processes.stop([running[c.name] for c in stale if c.name in running], settings.state, grace=STOP_SECONDS)
    environ = {"PATH": f"{settings.bin}:{host.SYSTEM_PATH}", "HOME": os.environ.get("HOME", "/root")}
    pids = {name: process.pid for name, process in running.items()}
    for component in stale:
        pids[component.name] = processes.spawn(
            component.argv,
            component=component.name,
            digest=component.digest(),
            state=settings.state,
            log=_log(settings, component.name),
            env=environ | component.environment,
        )
    for component in group:
        _wait(component, pids[component.name], settings)
    if stale:
        console.say(f"started {', '.join(c.name for c in stale)} ({time.monotonic() - began:.1f}s)")
    return [c.name for c in stale]


def _wait(component: Component, pid: int, settings: Settings) -> None:
    def decided() -> bool:
        return processes.ended(pid) or component.ready()

    wait_until(decided, seconds=START_SECONDS)
    # Looked at once more: somebody else may answer on its port while it ends for that very reason.
    if component.ready() and not processes.ended(pid):
        return
    what = "ended" if processes.ended(pid) else f"was not ready after {START_SECONDS:.0f}s"
    raise ClusterError(
        f"{component.name} {what}. {_log(settings, component.name)} ends with\n"
        f"{_log_tail(settings, component.name)}\n"
        "If its data is damaged: python -m e2e.cluster purge, then up again."
    )


def _stop_everything(settings: Settings) -> None:
    running = processes.components(settings.state)
    for group in reversed(START_ORDER):
        processes.stop([running[name] for name in group if name in running], settings.state, grace=STOP_SECONDS)
    unknown = [p for name, p in running.items() if not any(name in group for group in START_ORDER)]
    processes.stop(unknown, settings.state, grace=STOP_SECONDS)
    _end_firewall(settings)
    leftovers.sweep(settings)


def _end_firewall(settings: Settings) -> None:
    """kube-router, with the commands that it runs, which outlive it and go on writing rules; then what they wrote."""
    writers = [process for process in processes.ours(settings.state) if process.component == firewall.NAME]
    processes.stop(writers, settings.state, grace=0)
    firewall.remove(settings)


def _log(settings: Settings, name: str) -> Path:
    return settings.logs / f"{name}.log"


def _log_tail(settings: Settings, name: str, lines: int = 15) -> str:
    log = _log(settings, name)
    return tail(log.read_text(errors="replace"), lines) if log.exists() else "    (no log)"
