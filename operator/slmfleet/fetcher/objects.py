"""s3:// and gs://, through obstore."""

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import GCSStore, S3Store

from .credentials import AUTHORITY
from .errors import UNTRUSTED, FetchError
from .source import MAX_LISTED, Entry, Location

if TYPE_CHECKING:  # obstore has these names for type checkers alone
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

CHUNK = 2**20
"""Bytes that come at a time, at least."""
METADATA = "metadata.google.internal"
"""The name that gives a pod on Google Cloud the tokens of its service account."""

_RETRY: "RetryConfig" = {"max_retries": 5, "retry_timeout": timedelta(seconds=90)}
# What the client says of an answer that is an error, and the code in S3's document about it.
_ANSWER = re.compile(r"status code: (\d{3})(?:.*?<Code>([A-Za-z]{1,60})</Code>)?")
# What stopped a connection, deep in the dump of the error that follows its text.
_CAUSE = re.compile(r"InvalidCertificate|(?:message|error): \"([^\"\n]{1,100})\"")
_REFUSED = (PermissionDeniedError, UnauthenticatedError)


class ObjectSource:
    """A folder of a bucket."""

    def __init__(self, store: "ObjectStore", location: Location) -> None:
        self._store = store
        self._location = location

    def entries(self) -> Iterator[Entry]:
        """All objects below the folder. Raises FetchError."""
        prefix = f"{self._location.folder}/" if self._location.folder else ""
        seen = 0
        for page in self._guarded(obstore.list(self._store, prefix=self._location.folder or None, chunk_size=1000)):
            for meta in page:
                seen += 1
                if seen > MAX_LISTED:
                    advice = "point at the adapter's own folder"
                    raise FetchError("TooLarge", f"{self._location} has more than {MAX_LISTED} objects: {advice}")
                yield Entry(meta["path"].removeprefix(prefix), meta["size"])

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The object's content. Raises FetchError."""
        path = f"{self._location.folder}/{entry.name}" if self._location.folder else entry.name
        try:
            stream = obstore.get(self._store, path).stream(min_chunk_size=CHUNK)
        except (BaseError, OSError) as error:
            raise self._error(error) from None
        for chunk in self._guarded(stream):
            yield bytes(chunk)

    def _guarded(self, items: Any) -> Iterator[Any]:  # noqa: ANN401 - obstore's streams of this and that
        try:
            yield from items
        except (BaseError, OSError) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> FetchError:
        """In our words: obstore's text goes on for pages, with addresses and what servers repeat of a request."""
        text = str(error).partition("\n")[0].partition("error response:")[0]
        answer = _ANSWER.search(text)
        status, code = (int(answer[1]), f" ({answer[2]})" if answer[2] else "") if answer else (None, "")
        if isinstance(error, FileNotFoundError) or status == 404:
            return FetchError("NotFound", f"{self._location}: there is no such bucket or object{code}")
        if isinstance(error, _REFUSED) or status in (401, 403):
            advice = "check the keys in the Secret, and that they may list and read it"
            return FetchError("AccessDenied", f"{self._location} refuses the credentials{code}: {advice}")
        if "invalid path" in text:
            return FetchError("UnsafeFile", f"{self._location} has an object whose name no file can have: {text[:400]}")
        if "redirect" in text:
            advice = "give the Secret the bucket's AWS_REGION"
            return FetchError("Unreachable", f"{self._location} is in another region, or has moved: {advice}")
        if status is not None:
            again = status in (408, 429) or status >= 500
            return FetchError("Unreachable", f"{self._location}: the server answers {status}{code}", again=again)
        causes = _CAUSE.search(str(error))
        if causes and causes[0].startswith("InvalidCertificate"):
            return FetchError("Unreachable", f"{self._location}: the server {UNTRUSTED}")
        cause = f" ({causes[1]})" if causes else ""
        return FetchError("Unreachable", f"{self._location} cannot be read: {text[:400]}{cause}", again=True)


def s3(location: Location, values: Mapping[str, str], environ: Mapping[str, str]) -> ObjectSource:
    """A folder on S3, or on what speaks its language at AWS_ENDPOINT_URL.

    Without keys and without an identity that EKS gave to the pod the requests are anonymous. The node's own role is
    not used: it is the cluster's, not the adapter's owner's.
    """
    endpoint = values.get("AWS_ENDPOINT_URL")
    config: dict[str, Any] = {
        "region": values.get("AWS_REGION") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"),
        "access_key_id": values.get("AWS_ACCESS_KEY_ID"),
        "secret_access_key": values.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": values.get("AWS_SESSION_TOKEN"),
        "endpoint": endpoint,
    }
    config["region"] = config["region"] or "us-east-1"
    has_identity = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") or environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if config["access_key_id"] is None and not has_identity:
        config["skip_signature"] = True
    given: Any = {key: value for key, value in config.items() if value is not None}
    store = S3Store(location.place, config=given, client_options=_client(endpoint, values), retry_config=_RETRY)
    return ObjectSource(store, location)


def gs(
    location: Location, values: Mapping[str, str], resolve: Callable[[str, int], object] = socket.getaddrinfo
) -> ObjectSource:
    """A folder on Google Cloud Storage, or on what speaks its language at STORAGE_EMULATOR_HOST.

    Without a key it is the pod's own identity on Google Cloud (workload identity), and anonymous elsewhere.
    """
    config: dict[str, Any] = {}
    endpoint = values.get("STORAGE_EMULATOR_HOST")
    if endpoint is not None:
        config["base_url"] = endpoint
    if key := values.get("GOOGLE_SERVICE_ACCOUNT_KEY"):
        config["service_account_key"] = _service_account(key)
    elif endpoint is not None or not _resolves(resolve):
        config["skip_signature"] = True
    given: Any = config
    store = GCSStore(location.place, config=given, client_options=_client(endpoint, values), retry_config=_RETRY)
    return ObjectSource(store, location)


def _service_account(text: str) -> str:
    try:
        key = json.loads(text)
    except ValueError:
        key = None
    if not isinstance(key, dict) or key.get("type") != "service_account":
        what = 'the JSON key of a service account ("type": "service_account")'
        raise FetchError("InvalidSecret", f"the Secret's GOOGLE_SERVICE_ACCOUNT_KEY is not {what}")
    return text


def _resolves(resolve: Callable[[str, int], object]) -> bool:
    try:
        resolve(METADATA, 80)
    except OSError:
        return False
    return True


def _client(endpoint: str | None, values: Mapping[str, str]) -> "ClientConfig":
    """Redirects stay on HTTPS unless the endpoint itself is plain, which keeps them off metadata services."""
    authority: ClientConfig = {"root_certificate": values[AUTHORITY]} if AUTHORITY in values else {}
    return {
        **authority,
        "connect_timeout": timedelta(seconds=10),
        "read_timeout": timedelta(seconds=60),
        "timeout": timedelta(hours=2),  # of one file; the Job has its own deadline
        "allow_http": endpoint is not None and endpoint.startswith("http://"),
        "user_agent": "slmfleet-fetcher",
    }
