"""The configuration file of every component; each function returns the file's content."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from . import host
from .settings import Settings
from .shell import run


def containerd(settings: Settings, pause_image: str) -> str:
    """An instance of its own: root, state and socket are ours; another containerd of the machine stays as it is."""
    return f"""\
version = 2
root = "{settings.state}/containerd"
state = "{settings.containerd_state}"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{settings.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  # Lowering a process's oom_score_adj takes CAP_SYS_RESOURCE, which a container or a small VM may lack: runc then dies.
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{host.cni_directory()}"
    conf_dir = "{settings.config}/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      base_runtime_spec = "{settings.config}/runtime-spec.json"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{host.program("runc")}"
        Root = "{settings.state}/run/runc"
"""


def shared_paths(settings: Settings) -> list[Path]:
    """What containers see of this machine, read-only and at the same path: the images hold no operating system."""
    system = [Path(p) for p in ("/usr", "/bin", "/lib", "/lib64", "/sbin", "/etc/ssl")]
    wanted = [*system, Path(sys.base_prefix), settings.engine]
    paths: list[Path] = []
    for path in wanted:
        covered = any(path.is_relative_to(other) for other in paths)
        if path.exists() and not covered:
            paths.append(path)
    return paths


def runtime_spec(settings: Settings) -> str:
    """containerd's default OCI spec plus the shared mounts."""
    spec: dict[str, Any] = json.loads(run([host.program("ctr"), "oci", "spec"]))
    spec["process"].pop("rlimits", None)  # 1024 files otherwise; without it containers inherit containerd's limit
    spec["mounts"] += [
        {"destination": str(path), "source": str(path), "type": "bind", "options": ["rbind", "ro"]}
        for path in shared_paths(settings)
    ]
    return json.dumps(spec, indent=1)


def cni(settings: Settings) -> str:
    """Pods on one bridge, addresses from a local file."""
    bridge = {
        "type": "bridge",
        "bridge": settings.bridge,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(settings.state / "run" / "cni"),
            "ranges": [[{"subnet": settings.pod_cidr, "gateway": settings.gateway}]],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": settings.cni_network, "plugins": [bridge]}, indent=1)


def kubelet(settings: Settings) -> str:
    """The parts that differ from the defaults, for a node without systemd and with its disk shared with a developer."""
    pki = settings.pki
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.gateway,
        "healthzPort": settings.kubelet_health_port,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{settings.containerd_socket}",
        "clusterDNS": [settings.dns_ip],
        "clusterDomain": settings.domain,
        "resolvConf": str(settings.config / "resolv.conf"),
        "maxPods": settings.max_pods,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.cgroup}",  # so that every container is under one directory of ours
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        # The images can't be pulled again: never collect them, and leave the disk to its owner.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "makeIPTablesUtilChains": False,
        "podLogsDir": str(settings.state / "pod-logs"),
        "volumePluginDir": str(settings.state / "volume-plugins"),
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "shutdownGracePeriod": "0s",
    }
    return yaml.safe_dump(config, sort_keys=False)


def kube_proxy(settings: Settings) -> str:
    """Services through nftables."""
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": settings.node,
        "clusterCIDR": settings.pod_cidr,
        "clientConnection": {"kubeconfig": str(settings.pki / "proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0, "min": 0},  # the machine's own limits stay
        "healthzBindAddress": f"127.0.0.1:{settings.proxy_health_port}",
        "metricsBindAddress": f"127.0.0.1:{settings.proxy_metrics_port}",  # port 0 is refused
    }
    return yaml.safe_dump(config, sort_keys=False)


def coredns(settings: Settings) -> str:
    """Two blocks: `template` runs before `kubernetes`, so in one block it would answer NXDOMAIN to everything."""
    return f"""\
{settings.domain}:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {settings.gateway}
    errors
    ready 127.0.0.1:{settings.dns_ready_port}
    kubernetes {settings.domain} in-addr.arpa ip6.arpa {{
        kubeconfig {settings.pki}/admin.kubeconfig
        pods insecure
        ttl 5
    }}
    cache 5
    loadbalance
}}
.:53 {{
    bind {settings.gateway}
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


def volume_recycler(image: str) -> str:
    """The pod that empties a released volume; the controller manager fills in the path."""
    command = ["/bin/sh", "-c", "find /scrub -mindepth 1 -delete"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "volume-recycler", "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "vol", "hostPath": {"path": "/"}}],
            "containers": [
                {
                    "name": "volume-recycler",
                    "image": image,
                    "command": command,
                    "volumeMounts": [{"name": "vol", "mountPath": "/scrub"}],
                }
            ],
        },
    }
    return yaml.safe_dump(pod, sort_keys=False)


def write_all(settings: Settings, pause_image: str) -> None:
    """Write every file; components whose file changed are restarted by `up`."""
    files = {
        "containerd.toml": containerd(settings, pause_image),
        "runtime-spec.json": runtime_spec(settings),
        "cni/10-bridge.conflist": cni(settings),
        "kubelet.yaml": kubelet(settings),
        "kube-proxy.yaml": kube_proxy(settings),
        "Corefile": coredns(settings),
        "volume-recycler.yaml": volume_recycler(pause_image),
        "resolv.conf": f"nameserver {settings.dns_ip}\n",
    }
    for name, content in files.items():
        path = settings.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != content:  # kube-proxy ends when its file is touched
            path.write_text(content)
