"""Addresses of Services and pods for this machine."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from .cluster import Cluster
from .openai import Endpoint
from .waiting import eventually

PROXY_SECONDS = 60.0
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")


@contextmanager
def reach(cluster: Cluster, namespace: str, target: str, port: int) -> Iterator[Endpoint]:
    """`target` is service/NAME or pod/NAME.

    On the local cluster the target's own address, so that requests take the way that they take inside the cluster; on
    another one `kubectl port-forward`, which goes to one pod. A Service must have a ready pod: the proxy of the node
    learns of it a moment after the status does. A pod must run: AssertionError while it has no address.
    """
    if cluster.local:
        kind, _, name = target.partition("/")
        found = cluster.api.find(kind, namespace, name)
        assert found is not None, f"there is no {target}"
        host = found["spec"]["clusterIP"] if kind == "service" else found["status"].get("podIP")
        assert host, f"{target} has no address yet"
        if kind == "service":
            eventually(partial(_listens, host, port), within=PROXY_SECONDS, what=f"{target} accepts connections")
        yield Endpoint(host, port)
        return
    argv = cluster.commands.argv("kubectl", "-n", namespace, "port-forward", target, f":{port}")
    with subprocess.Popen(argv, env=cluster.commands.environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            match = _FORWARDING.match(line)
            assert match, f"`kubectl port-forward {target}` did not say where it listens: {line!r}"
            yield Endpoint("127.0.0.1", int(match[1]))
        finally:
            process.terminate()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
