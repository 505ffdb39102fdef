"""What the cluster needs from the machine, and what it changes there: the bridge, one nftables table, one sysctl."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .console import ClusterError, Console
from .settings import Settings
from .shell import run, run_long

# program -> Debian package; looked up on PATH and in the sbin directories
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "iptables-restore": "iptables",
    "conntrack": "conntrack",
}
FIREWALL_PROGRAMS = {"ipset": "ipset"}
CNI_PACKAGE = "containernetworking-plugins"
CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("bridge", "host-local", "loopback")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# Paths that containerd and the kubelet have compiled in; each is removed by `down` if it was not there before.
FOREIGN_DIRECTORIES = ("/var/lib/kubelet", "/var/log/containers", "/var/lib/cni", "/run/containerd")


def program(name: str) -> str:
    """The absolute path of a program of the machine."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if not found:
        raise ClusterError(f"`{name}` is missing; run: apt-get install -y {PROGRAMS.get(name, name)}")
    return found


def cni_directory() -> Path:
    """Where the CNI plugins are."""
    for directory in CNI_DIRECTORIES:
        if all((directory / plugin).exists() for plugin in CNI_PLUGINS):
            return directory
    raise ClusterError(f"the CNI plugins are missing; run: apt-get install -y {CNI_PACKAGE}")


def _missing_packages(programs: Mapping[str, str]) -> list[str]:
    missing = {package for name, package in programs.items() if not shutil.which(name, path=SYSTEM_PATH)}
    if not any(all((d / plugin).exists() for plugin in CNI_PLUGINS) for d in CNI_DIRECTORIES):
        missing.add(CNI_PACKAGE)
    return sorted(missing)


def require_root() -> None:
    """Containers, network namespaces and mounts need it."""
    if os.geteuid() != 0:
        raise ClusterError("the local cluster runs containers and makes network interfaces: run it as root (sudo -E)")


def require_visible(cache: Path) -> None:
    """Containers see the engine's environment under its own path, which a volume of theirs must not cover."""
    if cache.is_relative_to("/tmp"):
        raise ClusterError(
            f"the cache {cache} lies under /tmp, where every engine pod has a volume of its own: "
            "set SLMFLEET_CACHE to a folder elsewhere"
        )


def install_packages(settings: Settings, console: Console, programs: Mapping[str, str] = PROGRAMS) -> None:
    """Install the Debian packages that are missing, or say which."""
    missing = _missing_packages(programs)
    if not missing:
        return
    apt = shutil.which("apt-get")
    if not apt:
        raise ClusterError(f"not installed, and no apt-get here to install them: {' '.join(missing)}")
    log = settings.logs / "apt.log"
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run_long([apt, "update"], title="apt-get update", log=log, console=console, env=env)
    title = f"apt-get install {' '.join(missing)}"
    run_long(
        [apt, "install", "-y", "--no-install-recommends", *missing], title=title, log=log, console=console, env=env
    )


def connect(settings: Settings) -> None:
    """Make the bridge and let pods out. Idempotent."""
    _note_before(settings)
    ip = program("ip")
    bridge = settings.bridge
    if not Path(f"/sys/class/net/{bridge}").exists():
        run([ip, "link", "add", bridge, "type", "bridge"])
    prefix = settings.pod_cidr.rpartition("/")[2]
    run([ip, "address", "replace", f"{settings.gateway}/{prefix}", "dev", bridge])
    run([ip, "link", "set", bridge, "up"])
    FORWARDING.write_text("1\n")
    # One table instead of the bridge plugin's ipMasq: that writes iptables chains per container, which a crash leaves.
    run([program("nft"), "-f", "-"], stdin=f"""
        table ip {settings.nft_table} {{}}
        delete table ip {settings.nft_table}
        table ip {settings.nft_table} {{
          chain postrouting {{
            type nat hook postrouting priority srcnat;
            ip saddr {settings.pod_cidr} ip daddr != {settings.pod_cidr} fib daddr type != local masquerade
          }}
        }}
    """)  # fmt: skip
    _accept_forwarded(settings)


def disconnect(settings: Settings) -> None:
    """Undo `connect`, and remove kube-proxy's rules if they are ours. Idempotent."""
    bridge = Path("/sys/class/net") / settings.bridge
    # The kernel removes the pods' ends together with their namespaces, but only some seconds later.
    for interface in [*(port.name for port in bridge.glob("brif/*")), *([bridge.name] if bridge.exists() else [])]:
        run([program("ip"), "link", "delete", interface], check=False)
    nft = program("nft")
    tables = run([nft, "list", "tables"]).splitlines()
    if f"table ip {settings.nft_table}" in tables:
        run([nft, "delete", "table", "ip", settings.nft_table])
    ours = _is_our_kube_proxy(settings)
    for family in ("ip", "ip6"):
        if ours and f"table {family} kube-proxy" in tables:
            run([nft, "delete", "table", family, "kube-proxy"])
    for direction in ("-s", "-d"):
        rule = _forward_rule(settings, direction)
        if _rule_is_set(rule):
            run([program("iptables"), "-D", *rule])
    before = _before(settings)
    if before.get("ip_forward") == "0":
        FORWARDING.write_text("0\n")
    _note(settings).unlink(missing_ok=True)


def absent_before(settings: Settings) -> list[str]:
    """Which of the compiled-in directories did not exist before the cluster's first start."""
    return list(_before(settings).get("absent", []))


def _accept_forwarded(settings: Settings) -> None:
    """A container engine may have set the machine's FORWARD policy to DROP, which also drops pod to pod."""
    if "-P FORWARD DROP" not in run([program("iptables"), "-S", "FORWARD"], check=False):
        return
    for direction in ("-s", "-d"):
        rule = _forward_rule(settings, direction)
        if not _rule_is_set(rule):
            run([program("iptables"), "-I", *rule])


def _forward_rule(settings: Settings, direction: str) -> list[str]:
    return ["FORWARD", direction, settings.pod_cidr, "-m", "comment", "--comment", settings.nft_table, "-j", "ACCEPT"]


def _rule_is_set(rule: list[str]) -> bool:
    """Whether iptables has the rule; lists first, because `-C` makes the tables it looks in."""
    return f"--comment {rule[6]} " in run([program("iptables"), "-S", "FORWARD"], check=False)


def _is_our_kube_proxy(settings: Settings) -> bool:
    """None existed before ours, or (the note lost with the cache) it sends the API Service to our API server."""
    noted = _before(settings).get("kube_proxy")
    if noted is not None:
        return not noted
    rules = run([program("nft"), "list", "table", "ip", "kube-proxy"], check=False)
    return f"{settings.gateway}:{settings.api_port}" in rules


def _note(settings: Settings) -> Path:
    # Beside the state, not in it: the machine must be put back also when the state directory was removed by hand.
    return settings.cache / "host-before.json"


def _note_before(settings: Settings) -> None:
    note = _note(settings)
    if note.exists():
        return
    tables = run([program("nft"), "list", "tables"])
    before = {
        "ip_forward": FORWARDING.read_text().strip(),
        "kube_proxy": "table ip kube-proxy" in tables,
        "absent": [path for path in FOREIGN_DIRECTORIES if not Path(path).exists()],
    }
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(before))


def _before(settings: Settings) -> dict[str, Any]:
    note = _note(settings)
    before: dict[str, Any] = json.loads(note.read_text()) if note.exists() else {}
    return before
