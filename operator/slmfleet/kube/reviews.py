"""Who a caller is and what they may do, as the API server knows it: no secret of our own to hand out."""

from typing import Final

from .client import Client
from .resources import Key, Manifest, Resource

AUDIENCE: Final = "slmfleet.dev"
"""What a token must be issued for: one that was sent here cannot be used on the API server."""
_TIMEOUT: Final = 5.0

TOKEN_REVIEWS: Final = Resource("authentication.k8s.io/v1", "TokenReview", "tokenreviews")
ACCESS_REVIEWS: Final = Resource("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews")


async def user_of(client: Client, token: str) -> Manifest | None:
    """Whom a bearer token belongs to: username, groups, uid, extra; None for one that is not valid here.

    Raises KubeError.
    """
    answer = await _review(client, TOKEN_REVIEWS, {"token": token, "audiences": [AUDIENCE]})
    if not answer.get("authenticated") or AUDIENCE not in (answer.get("audiences") or ()):
        return None
    user: Manifest = answer.get("user") or {}
    return user if user.get("username") else None


async def may(client: Client, user: Manifest, verb: str, resource: Resource, subresource: str, whose: Key) -> bool:
    """Whether RBAC lets a user do this. Raises KubeError."""
    attributes = {
        "group": resource.api_version.partition("/")[0],
        "resource": resource.plural,
        "subresource": subresource,
        "verb": verb,
        "namespace": whose[0],
        "name": whose[1],
    }
    who: Manifest = {key: user[key] for key in ("groups", "uid", "extra") if key in user}
    spec = who | {"user": user["username"], "resourceAttributes": attributes}
    answer = await _review(client, ACCESS_REVIEWS, spec)
    return bool(answer.get("allowed"))


async def _review(client: Client, resource: Resource, spec: Manifest) -> Manifest:
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
    answer = await client.create(resource, "", body, within=_TIMEOUT)
    status: Manifest = answer.get("status") or {}
    return status
