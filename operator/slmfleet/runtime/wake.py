"""POST /wake/NAMESPACE/NAME: somebody waits for a fleet that has no replicas.

The caller proves who it is with a token of its service account, issued for the audience slmfleet.dev, and may wake what
RBAC lets it `create slmdeployments/wake` for. What else stands in the body is ignored, so that the webhook of an alert
on a metric is such a call too.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from slmfleet.kube.client import Client
from slmfleet.kube.errors import KubeError
from slmfleet.kube.resources import Key
from slmfleet.kube.reviews import AUDIENCE, may, user_of

from .objects import SLM_DEPLOYMENTS

ROUTE: Final = "/wake/{namespace}/{name}"
SUBRESOURCE: Final = "wake"
MAX_BODY: Final = 65_536
"""An alert with its labels and annotations has a few kilobytes."""
MAX_TOKEN: Final = 8192
MAX_REQUESTS: Final = 1_000_000
REVIEWS: Final = 4
"""At the same time: a flood of bad tokens must not become one of the API server's."""

Allowed = Callable[[str, Key], Awaitable[bool | None]]
"""Whether a token's owner may wake a fleet; None for a token that is not valid."""

logger = logging.getLogger(__name__)


class Wake:
    """The route."""

    def __init__(self, allowed: Allowed, wake: Callable[[Key, int], bool], leads: Callable[[], bool]) -> None:
        """`wake` takes a fleet and how many requests wait for it, and says whether there is such a fleet."""
        self._allowed = allowed
        self._wake = wake
        self._leads = leads
        self._reviews = asyncio.Semaphore(REVIEWS)

    async def handle(self, request: web.Request) -> web.Response:
        """202; 400 for a body that makes no sense, 401, 403, 404, or 503 where another replica has to be asked."""
        key = (request.match_info["namespace"], request.match_info["name"])
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN:
            return _refused(401, f"send a token of your service account for the audience {AUDIENCE} as a Bearer token")
        if not self._leads():
            return _refused(503, "this replica stands by: ask again, for another one", {"Retry-After": "1"})
        try:
            requests = await _requests(request)
        except ValueError as error:
            return _refused(400, str(error))
        try:
            async with self._reviews:
                allowed = await self._allowed(token, key)
        except KubeError as error:
            logger.warning("nobody can say who wakes %s/%s: %s", *key, error)
            return _refused(503, "the API server does not answer: ask again", {"Retry-After": "1"})
        if allowed is None:
            return _refused(401, f"the token is not valid, or not for the audience {AUDIENCE}")
        if not allowed:
            return _refused(403, f"you may not create slmdeployments/{SUBRESOURCE} in namespace {key[0]}")
        if not self._wake(key, requests):
            return _refused(404, f"no SLMDeployment {key[1]} in namespace {key[0]} whose spec.scaling is Active")
        return web.json_response({"requests": requests}, status=202)


def reviewer(client: Client) -> Allowed:
    """Asks the API server."""

    async def allowed(token: str, key: Key) -> bool | None:
        user = await user_of(client, token)
        return None if user is None else await may(client, user, "create", SLM_DEPLOYMENTS, SUBRESOURCE, key)

    return allowed


async def _requests(request: web.Request) -> int:
    """How many wait; a call without a body stands for one. Raises ValueError."""
    body = await request.content.read(MAX_BODY + 1)
    if not body:
        return 1
    try:
        found = json.loads(body) if len(body) <= MAX_BODY else None
    except ValueError:
        found = None
    count = found.get("requests", 1) if isinstance(found, dict) else None
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_REQUESTS:
        raise ValueError(
            f'the body must be empty or a JSON object; its "requests", if there, is from 1 to {MAX_REQUESTS}'
        )
    return count


def _refused(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    # Whoever comes again after 503 should reach another replica.
    return web.json_response({"error": message}, status=status, headers={"Connection": "close", **(headers or {})})
