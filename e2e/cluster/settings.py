"""Every path, address, port and size of the cluster, in one place."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def cache_directory() -> Path:
    """`$SLMFLEET_CACHE`, else a folder of our own in the user's cache."""
    named = os.environ.get("SLMFLEET_CACHE")
    if named:
        return Path(named).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "slmfleet"


@dataclass(frozen=True)
class Settings:
    """What may differ between machines; the defaults suit a machine that runs one such cluster."""

    cache: Path = field(default_factory=cache_directory)
    node: str = "local"
    gpus: int = 4
    gpu_resource: str = "nvidia.com/gpu"
    bridge: str = "slm0"
    gateway: str = "10.244.0.1"
    pod_cidr: str = "10.244.0.0/24"
    service_cidr: str = "10.96.0.0/16"
    api_service_ip: str = "10.96.0.1"
    dns_ip: str = "10.96.0.10"
    domain: str = "cluster.local"
    api_port: int = 16443
    etcd_port: int = 12379
    etcd_peer_port: int = 12380
    dns_ready_port: int = 18181
    kubelet_health_port: int = 10248
    proxy_health_port: int = 10256
    proxy_metrics_port: int = 10249
    nft_table: str = "slmfleet"
    cgroup: str = "slmfleet"
    cni_network: str = "slmfleet"
    max_pods: int = 250
    volumes: int = 20
    volume_size: str = "20Gi"
    registry: str = "slmfleet.dev"

    @cached_property
    def state(self) -> Path:
        """What `purge` deletes."""
        return self.cache / "cluster"

    @cached_property
    def bin(self) -> Path:
        """The folder for PATH: links to the newest build of every Go tool."""
        return self.cache / "bin"

    @cached_property
    def builds(self) -> Path:
        """The binaries, named after the hash of what they were built from."""
        return self.cache / "builds"

    @cached_property
    def engine(self) -> Path:
        """Mounted read-only into every container; holds the vLLM environment."""
        return self.cache / "engine"

    @cached_property
    def parsers(self) -> Path:
        """What the command lines of other vLLM releases are read from."""
        return self.cache / "flags"

    @cached_property
    def images(self) -> Path:
        """Image tars and the dependencies that go into them."""
        return self.cache / "images"

    @cached_property
    def logs(self) -> Path:
        """One log per component and per build."""
        return self.cache / "logs"

    @cached_property
    def kubeconfig(self) -> Path:
        """The administrator's access, for users of the cluster."""
        return self.cache / "kubeconfig"

    @cached_property
    def pki(self) -> Path:
        """Keys, certificates and the components' kubeconfigs."""
        return self.state / "pki"

    @cached_property
    def config(self) -> Path:
        """The components' configuration files."""
        return self.state / "config"

    @cached_property
    def containerd_socket(self) -> Path:
        """Short on purpose: a socket's path has at most 107 bytes."""
        return self.state / "run" / "containerd.sock"

    @cached_property
    def containerd_state(self) -> Path:
        """containerd's run time state: nothing in it survives a reboot, and nothing in it should."""
        return self.state / "run" / "containerd"
