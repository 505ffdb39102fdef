"""NetworkPolicies, enforced by kube-router for as long as somebody asks for it: the bridge plugin enforces none.

kube-router's rules outlive it. They are this cluster's where none were there before its start, as a note beside the
state says; nothing is removed without that note.
"""

import json
import re
from pathlib import Path

from . import host
from .components import Component
from .console import ClusterError
from .settings import Settings
from .shell import run

NAME = "kube-router"
CHAIN = re.compile(r"KUBE-(ROUTER|POD-FW|NWPLCY)-\S+")
SET = re.compile(r"(KUBE-(SRC|DST)|TMP)-[A-Z2-7]{16}")
# Pods share one bridge; only with this are frames between them seen as packets.
BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def component(settings: Settings) -> Component:
    """Only its firewall: Services are kube-proxy's, and the pods of one node need no routes."""
    argv = (
        f"{settings.bin}/{NAME}",
        f"--kubeconfig={settings.pki}/admin.kubeconfig",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        f"--hostname-override={settings.node}",
        f"--service-cluster-ip-range={settings.service_cidr}",
        "--health-port=0",
        "--iptables-sync-period=1m",
        "-v=1",
    )
    return Component(NAME, argv, in_force, files=(settings.pki / "ca.crt",))


def in_force() -> bool:
    """Whether forwarded packets go through kube-router's chains."""
    return any(rule.startswith("-A FORWARD") and CHAIN.search(rule) for rule in _rules())


def prepare(settings: Settings) -> None:
    """Note what the machine is like before kube-router's start. Idempotent."""
    note = _note(settings)
    if not note.exists():
        if not BRIDGED.exists():
            raise ClusterError(f"{BRIDGED} does not exist, so packets between pods cannot be filtered: "
                               "modprobe br_netfilter")  # fmt: skip
        sets = _sets()
        if _chains() or any(SET.fullmatch(name) for name in sets):
            raise ClusterError("this machine has rules of another kube-router, and this one would change them: "
                               "stop that one and remove them (iptables -S, ipset list -n)")  # fmt: skip
        before = {"sets": sets, "filter": _has_filter_table(), "bridged": BRIDGED.read_text().strip()}
        note.write_text(json.dumps(before))
    BRIDGED.write_text("1\n")


def remove(settings: Settings) -> None:
    """Put the machine back; kube-router must have ended before. Idempotent, and nothing where it never ran."""
    note = _note(settings)
    if not note.exists():
        return
    before = json.loads(note.read_text())
    chains = _chains()
    jumps = [rule for rule in _rules() if rule.startswith("-A ") and rule.split()[1] not in chains]
    lines = [f"-D {rule.removeprefix('-A ')}" for rule in jumps if rule.split()[-1] in chains]
    lines += [f"-F {chain}" for chain in chains] + [f"-X {chain}" for chain in chains]
    if lines:
        text = "\n".join(["*filter", *lines, "COMMIT", ""])
        run([host.program("iptables-restore"), "--noflush"], stdin=text)
    for name in _sets():
        if SET.fullmatch(name) and name not in before["sets"]:
            run([host.program("ipset"), "destroy", name])
    if not before["filter"] and _has_filter_table() and not any(rule.startswith("-A ") for rule in _rules()):
        run([host.program("nft"), "delete", "table", "ip", "filter"])
    BRIDGED.write_text(f"{before['bridged']}\n")
    note.unlink()


def _note(settings: Settings) -> Path:
    # Beside the state, for the same reason as the host's own note.
    return settings.cache / "firewall-before.json"


def _rules() -> list[str]:
    return run([host.program("iptables"), "-S"], check=False).splitlines()


def _chains() -> list[str]:
    names = [rule.split()[1] for rule in _rules() if rule.startswith("-N ")]
    return [name for name in names if CHAIN.fullmatch(name)]


def _sets() -> list[str]:
    return run([host.program("ipset"), "list", "-n"]).split()


def _has_filter_table() -> bool:
    return "table ip filter" in run([host.program("nft"), "list", "tables"]).splitlines()
