"""The API server of this benchmark: the unit tests' one in memory, over HTTP and in a process of its own."""

import asyncio
import json
from multiprocessing.connection import Connection
from typing import Any, Final

from aiohttp import web

from slmfleet.kube.errors import AlreadyExistsError, ConflictError, ExpiredError, KubeError, NotFoundError
from slmfleet.kube.resources import Manifest, Resource
from slmfleet.runtime.objects import LORA_ADAPTERS
from tests.kube.fake import FakeClient

MAX_BODY: Final = 2**24
"""Bytes."""
_CODES: Final = ((NotFoundError, 404), (ConflictError, 409), (ExpiredError, 410), (KubeError, 422))


class Api(FakeClient):
    """Objects in memory."""

    def _store(self, resource: Resource, obj: Manifest) -> Manifest:
        """As the API server does; a LoRAAdapter comes with its status, as one whose files are known already."""
        metadata = obj["metadata"]
        if resource == LORA_ADAPTERS and (resource.plural, metadata["namespace"], metadata["name"]) not in self.objects:
            uid = f"uid-{next(self._uids) + 1}"  # what it will have: the key of the facts begins with it
            path = obj["spec"]["source"]["uri"].removeprefix("image://")
            obj["status"]["source"]["key"] = f"{uid}/1{path}"[-128:]
        return super()._store(resource, obj)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        resource, namespace, name, subresource = place(request.path)
        query = request.query
        if request.method == "GET" and "watch" in query:
            return await self._watched(request, resource, namespace)
        try:
            if request.method == "GET" and not name:
                items, version = await self.list(resource, namespace, labels=query.get("labelSelector", ""))
                return web.json_response({"items": items, "metadata": {"resourceVersion": version}})
            if request.method == "GET":
                return web.json_response(await self.get(resource, namespace or "", name))
            body = await request.json()
            return web.json_response(await self._change(request, resource, namespace or "", name, subresource, body))
        except KubeError as error:
            code = next(code for kind, code in _CODES if isinstance(error, kind))
            reason = "AlreadyExists" if isinstance(error, AlreadyExistsError) else type(error).__name__
            return web.json_response({"message": str(error), "reason": reason}, status=code)

    async def _change(
        self, request: web.Request, resource: Resource, namespace: str, name: str, subresource: str, body: Manifest
    ) -> Manifest:
        manager = request.query.get("fieldManager", "")
        if request.method == "POST":
            return await self.create(resource, namespace, body, within=0)
        if request.method == "DELETE":
            await self.delete(resource, namespace, name, body["preconditions"]["uid"])
            return {}
        if request.method == "PATCH" and request.content_type == "application/merge-patch+json":
            return await self.merge(resource, namespace, body, manager=manager)
        force = request.query.get("force") == "true"
        return await self.apply(resource, namespace, body, manager=manager, force=force, subresource=subresource)

    async def _watched(self, request: web.Request, resource: Resource, namespace: str | None) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        query = request.query
        labels, since = query.get("labelSelector", ""), query.get("resourceVersion", "0")
        events = self.watch(resource, namespace, labels=labels, since=since, seconds=int(query["timeoutSeconds"]))
        async for kind, obj in events:
            await response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")
        return response


def place(path: str) -> tuple[Resource, str | None, str, str]:
    """Resource, namespace, name and subresource of a URL's path."""
    parts = path.strip("/").split("/")
    version, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *_ = (*rest, "", "")
    # Errors and lists name the kind only to people; manifests bring it with them.
    kind = LORA_ADAPTERS.kind if plural == LORA_ADAPTERS.plural else plural
    return Resource(version, kind, plural), namespace, name, subresource


def serve(told: Connection) -> None:
    """The process: says its port, and serves until it is ended."""
    asyncio.run(_serve(told))


async def _serve(told: Connection) -> None:
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{path:.*}", Api().answer)
    runner: Any = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told.send(runner.addresses[0][1])
    await asyncio.Event().wait()
