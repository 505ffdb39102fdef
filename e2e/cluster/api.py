"""The few requests that bringing the cluster up takes, without a client library."""

import http.client
import json
import ssl
from typing import Any

from .console import ClusterError
from .settings import Settings

Object = dict[str, Any]


class Api:
    """The API server as the administrator sees it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context(cafile=str(settings.pki / "ca.crt"))
        self._tls.load_cert_chain(str(settings.pki / "admin.crt"), str(settings.pki / "admin.key"))

    def request(
        self, method: str, path: str, body: Object | None = None, content: str = "application/json"
    ) -> tuple[int, str]:
        """One request; the status code and the answer. OSError while nobody listens."""
        connection = http.client.HTTPSConnection("127.0.0.1", self._settings.api_port, timeout=10, context=self._tls)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": content})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as e:
            raise OSError(str(e)) from e
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> Object | None:
        """An object, or None if there is none."""
        status, text = self.request("GET", path)
        if status == 404:
            return None
        return self._parsed("GET", path, status, text)

    def apply(self, path: str, body: Object) -> Object:
        """Server-side apply."""
        path = f"{path}?fieldManager=slmfleet-cluster&force=true"
        return self._parsed("PATCH", path, *self.request("PATCH", path, body, "application/apply-patch+yaml"))

    def merge(self, path: str, body: Object) -> Object:
        """A JSON merge patch."""
        return self._parsed("PATCH", path, *self.request("PATCH", path, body, "application/merge-patch+json"))

    def delete(self, path: str) -> None:
        """Delete an object; fine if it is gone."""
        status, text = self.request("DELETE", path)
        if status != 404:
            self._parsed("DELETE", path, status, text)

    @staticmethod
    def _parsed(method: str, path: str, status: int, text: str) -> Object:
        if status >= 300:
            raise ClusterError(f"{method} {path} answered {status}: {text[:500]}")
        parsed: Object = json.loads(text)
        return parsed
