"""A stand-in for what brings metrics to HPAs, as KEDA does: the external metrics API with one metric called `queue`.

Runs in a pod on nothing but the standard library: `metrics_server.py FOLDER PORT CONTROL_PORT`. FOLDER has tls.crt and
tls.key of the API; a POST of a number to the control port sets the metric.
"""

import json
import ssl
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

GROUP_VERSION = "external.metrics.k8s.io/v1beta1"
METRIC = "queue"


class Api(BaseHTTPRequestHandler):
    """What the API server's aggregation layer and the HPA controller ask for."""

    protocol_version = "HTTP/1.1"
    value: ClassVar[int] = 0

    def do_GET(self) -> None:
        """The one resource of the group, or its value in any namespace."""
        path = self.path.partition("?")[0].rstrip("/")
        if path == f"/apis/{GROUP_VERSION}":
            resource = {"name": METRIC, "namespaced": True, "kind": "ExternalMetricValueList", "verbs": ["get"]}
            found = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION}
            self._answer(200, {**found, "resources": [{"singularName": "", **resource}]})
        elif path.startswith(f"/apis/{GROUP_VERSION}/namespaces/") and path.endswith(f"/{METRIC}"):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            item = {"metricName": METRIC, "metricLabels": {}, "timestamp": now, "value": str(Api.value)}
            self._answer(200, {"kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "items": [item]})
        else:
            self._answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nobody reads it."""


class Control(Api):
    """Where the scenario sets the metric."""

    def do_POST(self) -> None:
        """The body is the number."""
        Api.value = int(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, Api.value)


def main(folder: Path, port: int, control: int) -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    api = ThreadingHTTPServer(("", port), Api)
    api.socket = context.wrap_socket(api.socket, server_side=True)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    ThreadingHTTPServer(("", control), Control).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
