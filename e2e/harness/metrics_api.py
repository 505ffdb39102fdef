"""A cluster that has metrics for HPAs: `metrics_server.py` in a pod behind the API server's aggregation layer."""

import datetime
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import metrics_server
from .api import Object
from .namespace import Namespace
from .reach import reach
from .store import restricted

NAME = "metrics"
API_SERVICE = "v1beta1.external.metrics.k8s.io"
PORT, CONTROL_PORT = 6443, 8080


@contextmanager
def external_metric(namespace: Namespace) -> Iterator[Callable[[int], None]]:
    """For as long as the body runs every HPA can read the external metric `queue`; what sets its value.

    The API is the whole cluster's: one that has such an API keeps it, and this fails.
    """
    namespace.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": _objects(namespace)}))
    namespace.eventually(lambda: _listens(namespace), "the metrics server listens")
    created = namespace.cluster.kubectl("create", "-f", "-", stdin=json.dumps(_api_service(namespace)))
    assert created.stdout
    try:
        namespace.eventually(lambda: _available(namespace), "the API server reaches the metrics API")
        with reach(namespace.cluster, namespace.name, f"pod/{NAME}", CONTROL_PORT) as control:

            def put(value: int) -> None:
                status, answer = control.call("POST", "/", value)
                assert (status, answer) == (200, value)

            yield put
    finally:  # before its namespace: without an answer from a registered API no namespace can be deleted
        namespace.cluster.kubectl("delete", "apiservice", API_SERVICE)


def _objects(namespace: Namespace) -> list[Object]:
    metadata = {"name": NAME, "labels": {"app": NAME}}
    key, certificate = _self_signed()
    files = {"server.py": Path(metrics_server.__file__).read_text(), "tls.crt": certificate, "tls.key": key}
    container = {
        "name": "server",
        "image": namespace.images.simulator,
        "command": ["python3", "/files/server.py", "/files", str(PORT), str(CONTROL_PORT)],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": CONTROL_PORT}, "periodSeconds": 1},
        "securityContext": restricted(65532),
        "volumeMounts": [{"name": "files", "mountPath": "/files"}],
    }
    pod = {
        "containers": [container],
        "volumes": [{"name": "files", "secret": {"secretName": NAME}}],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }
    ports = [{"port": 443, "targetPort": PORT}]
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": files},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": NAME}, "ports": ports},
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
    ]


def _api_service(namespace: Namespace) -> Object:
    group, _, version = metrics_server.GROUP_VERSION.partition("/")
    spec = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": NAME, "namespace": namespace.name},
    }
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": API_SERVICE},
        "spec": spec,
    }


def _listens(namespace: Namespace) -> bool:
    return _true(namespace.get("pod", NAME), "Ready")


def _available(namespace: Namespace) -> bool:
    found = json.loads(namespace.cluster.kubectl("get", "apiservice", API_SERVICE, "-o", "json").stdout)
    return _true(found, "Available")


def _true(found: Object, kind: str) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any((item["type"], item["status"]) == (kind, "True") for item in conditions)


def _self_signed() -> tuple[str, str]:
    """Key and certificate, for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, *form)
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
