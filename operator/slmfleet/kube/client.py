"""Calls to the API server: plain dicts in and out, one typed error per thing that a caller acts on."""

import json
import os
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

from .answers import error_of, parsed, result_of, words
from .errors import KubeError, TransientError
from .resources import PODS, Manifest, Resource

PAGE: Final = 500
_TIMEOUT: Final = 30.0
# The server sends a bookmark about once a minute, later under load: this much silence means a dead connection.
_SILENCE: Final = 150.0
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"

Query = list[tuple[str, str]]
WriteHook = Callable[[str, str, str], None]
"""Called after every write with kind, verb and result (ok, refused, conflict, notfound, transient)."""


class Client:
    """The API server. Every method may raise NotFoundError, ConflictError, RefusedError or TransientError."""

    def __init__(self, api: ApiClient, on_write: WriteHook | None = None) -> None:
        self._api = api
        self._on_write = on_write

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    def wrote(self, kind: str, verb: str, result: str) -> None:
        """Count a write; called by those who found a write unnecessary, too (result unchanged)."""
        if self._on_write is not None:
            self._on_write(kind, verb, result)

    async def get(self, resource: Resource, namespace: str, name: str, *, within: float = _TIMEOUT) -> Manifest:
        """One object, as of now; `within` so many seconds."""
        return await self._json("GET", resource.path(namespace, name), within=within)

    async def list(
        self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "", page: int = PAGE
    ) -> tuple[list[Manifest], str]:
        """All objects in a namespace (None: in all), read page by page, and the resourceVersion of the list.

        Raises ExpiredError when the list changed too much while its pages were read.
        """
        items: list[Manifest] = []
        token = ""
        while True:
            query = [("limit", str(page)), ("labelSelector", labels), ("fieldSelector", fields)]
            query.append(("continue", token))
            answer = await self._json("GET", resource.path(namespace), [q for q in query if q[1]])
            # The items of a list come without the kind that they have everywhere else.
            types = {"apiVersion": resource.api_version, "kind": resource.kind}
            items += [types | item for item in answer.get("items") or ()]
            token = answer["metadata"].get("continue", "")
            if not token:
                return items, answer["metadata"]["resourceVersion"]

    async def watch(
        self, resource: Resource, namespace: str | None, *, labels: str, since: str, seconds: int
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Events (type, object) after the resourceVersion `since`, bookmarks included, for at most `seconds`.

        Ends silently when the server ends it; raises ExpiredError when `since` is too old and TransientError when the
        connection breaks or stays silent.
        """
        query = [("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", since)]
        query += [("timeoutSeconds", str(seconds))] + ([("labelSelector", labels)] if labels else [])
        limits = aiohttp.ClientTimeout(total=seconds + _SILENCE, sock_connect=10, sock_read=_SILENCE)
        response = await self._send("GET", resource.path(namespace), query, limits=limits)
        try:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise error_of(int(event["object"].get("code") or 500), event["object"], None)
                yield event["type"], event["object"]
        except (aiohttp.ClientError, OSError, ValueError) as error:  # OSError: TimeoutError is one
            raise TransientError(f"watch of {resource.plural} broke: {words(error)}") from error
        finally:
            response.close()

    async def apply(
        self,
        resource: Resource,
        namespace: str,
        manifest: Manifest,
        *,
        manager: str,
        force: bool,
        subresource: str = "",
        within: float = _TIMEOUT,
    ) -> Manifest:
        """Server-side apply; a `metadata.uid` in the manifest makes it ConflictError unless that object exists.

        Given up after `within` seconds, as every write that takes it, and never later than after 30.
        """
        path = resource.path(namespace, manifest["metadata"]["name"], subresource)
        query = [("fieldManager", manager), ("force", "true" if force else "false")]
        verb = f"apply-{subresource}" if subresource else "apply"
        return await self._write(resource, verb, "PATCH", path, query, manifest, media=_APPLY, within=within)

    async def merge(
        self, resource: Resource, namespace: str, manifest: Manifest, *, manager: str, within: float = _TIMEOUT
    ) -> Manifest:
        """JSON merge patch, which replaces lists as a whole; a `metadata.uid` in it is a precondition as in apply."""
        path = resource.path(namespace, manifest["metadata"]["name"])
        query = [("fieldManager", manager)]
        return await self._write(resource, "merge", "PATCH", path, query, manifest, media=_MERGE, within=within)

    async def create(self, resource: Resource, namespace: str, manifest: Manifest, *, within: float) -> Manifest:
        """Create an object; AlreadyExistsError when the name is taken. `within` in seconds."""
        return await self._write(resource, "create", "POST", resource.path(namespace), [], manifest, within=within)

    async def replace(self, resource: Resource, namespace: str, manifest: Manifest, *, within: float) -> Manifest:
        """Replace an object; ConflictError when its resourceVersion has moved on. `within` in seconds."""
        path = resource.path(namespace, manifest["metadata"]["name"])
        return await self._write(resource, "replace", "PUT", path, [], manifest, within=within)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        uid: str,
        *,
        grace: int | None = None,
        within: float = _TIMEOUT,
    ) -> None:
        """Delete the object of that name and uid; ConflictError when another one has the name by now.

        `grace`: a pod's seconds until it is killed, instead of those in its spec.
        """
        options: Manifest = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        await self._write(resource, "delete", "DELETE", resource.path(namespace, name), [], options, within=within)

    async def pod_log(self, namespace: str, pod: str, query: Query, *, limit: int) -> bytes:
        """The last `limit` bytes of what the log endpoint returns for `query`."""
        limits = aiohttp.ClientTimeout(total=_TIMEOUT, sock_connect=10)
        response = await self._send("GET", PODS.path(namespace, pod, "log"), query, limits=limits)
        tail = b""
        try:
            async for chunk in response.content.iter_chunked(64 * 1024):
                tail = (tail + chunk)[-limit:]
        except (aiohttp.ClientError, OSError) as error:
            raise TransientError(f"log of pod {namespace}/{pod} broke off: {words(error)}") from error
        finally:
            response.close()
        return tail

    async def _write(
        self,
        resource: Resource,
        verb: str,
        method: str,
        path: str,
        query: Query,
        body: Manifest,
        *,
        media: str = "application/json",
        within: float = _TIMEOUT,
    ) -> Manifest:
        result = "transient"  # what a cancelled write counts as: nobody knows whether it happened
        try:
            answer = await self._json(method, path, query, body, media=media, within=within)
            result = "ok"
        except KubeError as error:
            result = result_of(error)
            raise
        finally:
            self.wrote(resource.kind, verb, result)
        return answer

    async def _json(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Manifest | None = None,
        *,
        media: str = "application/json",
        within: float = _TIMEOUT,
    ) -> Manifest:
        limits = aiohttp.ClientTimeout(total=min(within, _TIMEOUT))
        response = await self._send(method, path, query or [], body, media=media, limits=limits)
        try:
            answer: Manifest = json.loads(await response.read())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransientError(f"{method} {path}: the answer broke off: {words(error)}") from error
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        query: Query,
        body: Manifest | None = None,
        *,
        media: str = "application/json",
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Send a request and return a successful answer's head, with its body still to be read."""
        headers = {"Accept": "application/json", "Content-Type": media}
        try:
            request = await self._api.param_serialize(
                method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = await self._api.call_api(*request, _request_timeout=limits)
            response: aiohttp.ClientResponse = answer.response
            if response.status < 300:
                return response
            raise error_of(response.status, parsed(await response.read()), response.headers.get("Retry-After"))
        except (aiohttp.ClientError, OSError) as error:  # OSError: TimeoutError is one
            raise TransientError(f"{method} {path}: no answer from the API server: {words(error)}") from error


async def connect(user_agent: str, on_write: WriteHook | None = None) -> Client:
    """A client with KUBECONFIG, else with the pod's service account. Raises KubeError without either."""
    configuration = Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(client_configuration=configuration, persist_config=False)
    except ConfigException as error:
        raise KubeError(f"no way to reach a cluster: {error}. Set KUBECONFIG, or run as a pod.") from error
    configuration.retries = None  # retries belong to the callers, who know what waiting means
    api = ApiClient(configuration)
    api.user_agent = user_agent
    return Client(api, on_write)
