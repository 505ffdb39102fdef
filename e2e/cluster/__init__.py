"""A real one-node Kubernetes on this machine, for the demo and the end-to-end tests.

`python -m e2e.cluster up` builds Kubernetes, etcd, CoreDNS and helm from Go modules (pinned in `go/go.mod`) and
runs them as plain processes beside Debian's containerd and runc. Nothing is pulled from a registry: `images` makes the
images on the spot.

What a pod finds here:

- Node `local` with `nvidia.com/gpu: 4` (`up --gpus N`): counted by the scheduler, backed by nothing.
- StorageClass `local` (the default one): PersistentVolumeClaims of up to 20Gi bind at once to one of 20 hostPath
  volumes, ReadWriteOnce or ReadWriteMany. There is no provisioner: when a claim goes, the volume is emptied (reclaim
  policy Recycle) and is free again some seconds later; `up` replaces volumes whose recycling failed.
- Cluster DNS at 10.96.0.10. Names outside the cluster answer NXDOMAIN at once.
- Every container sees this machine's /usr, /bin, /lib, /lib64, /sbin, /etc/ssl, Python installation and
  `<cache>/engine` read-only, at the same paths; they hide what an image has there.
- No hostPorts, and no NetworkPolicy enforcement but inside `lifecycle.enforcing`.

Everything lives under `$SLMFLEET_CACHE` (default `~/.cache/slmfleet`). `purge` deletes `cluster/`, the state of the
cluster, and keeps the rest: `builds/`, `bin/`, `engine/`, `images/`, `logs/`.
"""
