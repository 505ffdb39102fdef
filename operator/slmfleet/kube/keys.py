"""The operator's own key: in a Secret of its own namespace, the only one that it may read."""

import base64
import binascii
import logging
import secrets
from typing import Final

from .client import Client
from .errors import AlreadyExistsError, NotFoundError, RefusedError
from .resources import SECRETS, Manifest

BYTES: Final = 32
_FIELD: Final = "key"

logger = logging.getLogger(__name__)


async def own_key(client: Client, namespace: str, name: str, *, within: float) -> bytes:
    """The key; where there is none yet, one is made. `within` in seconds.

    Raises RefusedError for a Secret that holds no key, or without the right to read or to make it.
    """
    try:
        return _key(await client.get(SECRETS, namespace, name, within=within))
    except NotFoundError:
        made = secrets.token_bytes(BYTES)
    try:
        await client.create(SECRETS, namespace, _manifest(namespace, name, made), within=within)
    except AlreadyExistsError:  # another replica was quicker
        return _key(await client.get(SECRETS, namespace, name, within=within))
    logger.info("Secret %s/%s holds a new key", namespace, name)
    return made


def _manifest(namespace: str, name: str, key: bytes) -> Manifest:
    labels = {"app.kubernetes.io/name": "slmfleet", "app.kubernetes.io/component": "operator"}
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "type": "Opaque",
        "immutable": True,
        "data": {_FIELD: base64.b64encode(key).decode()},
    }


def _key(secret: Manifest) -> bytes:
    try:
        key = base64.b64decode((secret.get("data") or {}).get(_FIELD) or "", validate=True)
    except binascii.Error:
        key = b""
    if len(key) < BYTES:
        metadata = secret["metadata"]
        where = f"Secret {metadata.get('namespace')}/{metadata['name']}"
        raise RefusedError(f"{where} holds no {BYTES} bytes in data.{_FIELD}: delete it, and a new one is made")
    return key
