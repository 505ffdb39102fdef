"""The programs of the control plane and the node: how each is started and how it says that it is ready."""

import hashlib
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import host
from .api import Api
from .settings import Settings


@dataclass(frozen=True)
class Component:
    """One program that runs for as long as the cluster does."""

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    files: tuple[Path, ...] = ()  # configuration: a change restarts the component
    environment: dict[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """Changes whenever the running process would have to be started differently."""
        digest = hashlib.sha256("\0".join(self.argv).encode())
        digest.update(str(Path(self.argv[0]).resolve()).encode())
        for file in self.files:
            digest.update(file.read_bytes())
        return digest.hexdigest()[:16]


def answers(url: str) -> bool:
    """Whether a health endpoint says 200."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def listens(socket_path: Path) -> bool:
    """Whether somebody accepts connections there; a file alone may be a dead process's."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(socket_path))
        except OSError:
            return False
    return True


def always() -> bool:
    """For programs without a port: that they run is all there is to see."""
    return True


def all_components(settings: Settings) -> list[Component]:
    """In the order in which they start."""
    return [
        _etcd(settings),
        _apiserver(settings),
        _controllers(settings),
        _scheduler(settings),
        _containerd(settings),
        _kubelet(settings),
        _proxy(settings),
        _coredns(settings),
    ]


def _etcd(s: Settings) -> Component:
    client, peer = f"http://127.0.0.1:{s.etcd_port}", f"http://127.0.0.1:{s.etcd_peer_port}"
    argv = (
        f"{s.bin}/etcd",
        f"--data-dir={s.state}/etcd",
        "--unsafe-no-fsync",  # a test cluster: seconds of start-up matter more than a power cut
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    )
    return Component("etcd", argv, lambda: answers(f"{client}/health"))


def _apiserver(s: Settings) -> Component:
    pki = s.pki
    argv = (
        f"{s.bin}/kube-apiserver",
        f"--advertise-address={s.gateway}",
        f"--secure-port={s.api_port}",
        f"--etcd-servers=http://127.0.0.1:{s.etcd_port}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--anonymous-auth=false",
        f"--service-cluster-ip-range={s.service_cidr}",
        f"--service-account-issuer=https://kubernetes.default.svc.{s.domain}",
        f"--service-account-key-file={pki}/service-accounts.key",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--shutdown-delay-duration=0s",
    )
    return Component("kube-apiserver", argv, lambda: Api(s).ready(), files=(pki / "apiserver.crt",))


def _controllers(s: Settings) -> Component:
    argv = (
        f"{s.bin}/kube-controller-manager",
        f"--kubeconfig={s.pki}/controller-manager.kubeconfig",
        "--leader-elect=false",
        "--secure-port=0",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={s.pki}/service-accounts.key",
        f"--root-ca-file={s.pki}/ca.crt",
        f"--cluster-signing-cert-file={s.pki}/ca.crt",
        f"--cluster-signing-key-file={s.pki}/ca.key",
        f"--pv-recycler-pod-template-filepath-hostpath={s.config}/volume-recycler.yaml",
        "--pvclaimbinder-sync-period=2s",
    )
    files = (s.pki / "ca.crt", s.config / "volume-recycler.yaml")
    return Component("kube-controller-manager", argv, always, files=files)


def _scheduler(s: Settings) -> Component:
    argv = (
        f"{s.bin}/kube-scheduler",
        f"--kubeconfig={s.pki}/scheduler.kubeconfig",
        f"--authentication-kubeconfig={s.pki}/scheduler.kubeconfig",
        f"--authorization-kubeconfig={s.pki}/scheduler.kubeconfig",
        "--leader-elect=false",
        "--secure-port=0",
    )
    return Component("kube-scheduler", argv, always, files=(s.pki / "ca.crt",))


def _containerd(s: Settings) -> Component:
    config = s.config / "containerd.toml"
    argv = (host.program("containerd"), f"--config={config}", "--log-level=warn")
    files = (config, s.config / "runtime-spec.json", s.config / "cni" / "10-bridge.conflist")
    return Component("containerd", argv, lambda: listens(s.containerd_socket), files=files)


def _kubelet(s: Settings) -> Component:
    config = s.config / "kubelet.yaml"
    argv = (
        f"{s.bin}/kubelet",
        f"--config={config}",
        f"--kubeconfig={s.pki}/kubelet.kubeconfig",
        f"--root-dir={s.state}/kubelet",
        f"--node-ip={s.gateway}",
        f"--hostname-override={s.node}",
    )
    url = f"http://127.0.0.1:{s.kubelet_health_port}/healthz"
    return Component("kubelet", argv, lambda: answers(url), files=(config, s.pki / "ca.crt"))


def _proxy(s: Settings) -> Component:
    config = s.config / "kube-proxy.yaml"
    argv = (f"{s.bin}/kube-proxy", f"--config={config}")
    url = f"http://127.0.0.1:{s.proxy_health_port}/healthz"
    return Component("kube-proxy", argv, lambda: answers(url), files=(config, s.pki / "ca.crt"))


def _coredns(s: Settings) -> Component:
    config = s.config / "Corefile"
    argv = (f"{s.bin}/coredns", f"-conf={config}")
    url = f"http://127.0.0.1:{s.dns_ready_port}/ready"
    return Component("coredns", argv, lambda: answers(url), files=(config, s.pki / "ca.crt"))
