"""hf://, through huggingface_hub: its listing, its addresses and its retries, and files read as streams.

Its own downloads are not used: they write a cache with links, files of mode 0600, and a bound on the size would come
after the fact.
"""

import ipaddress
import itertools
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, hf_hub_url, set_client_factory
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import hf_raise_for_status, http_stream_backoff

from .credentials import AUTHORITY
from .errors import UNTRUSTED, FetchError
from .source import MAX_LISTED, Entry, Location

DEFAULT_ENDPOINT = "https://huggingface.co"
CHUNK = 2**20
"""Bytes that come at a time."""
ATTEMPTS = 4
"""For a call, and for the pieces of a file whose connection breaks."""
TIMEOUT = httpx2.Timeout(60.0, connect=10.0)
"""Seconds until a connection stands, and between two pieces."""
AGAIN = frozenset({429, 500, 502, 503, 504})

Resolve = Callable[[str], list[str]]
_T = TypeVar("_T")
# What the library raises for names that it refuses and for answers that it cannot read.
_NOT_A_HUB = (AttributeError, KeyError, TypeError, ValueError)


class HubSource:
    """A folder of a repository of models, at one commit."""

    def __init__(
        self, location: Location, values: Mapping[str, str], pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._location = location
        self._endpoint = values.get("HF_ENDPOINT", DEFAULT_ENDPOINT)
        self._token = values.get("HF_TOKEN")
        self._pause = pause
        self._api = HfApi(endpoint=self._endpoint, token=self._token or False)
        self._commit: str | None = None
        set_client_factory(lambda: client(self._endpoint, values.get(AUTHORITY)))

    def entries(self) -> Iterator[Entry]:
        """The files of the folder, and of those below. Raises FetchError."""
        prefix = f"{self._location.folder}/" if self._location.folder else ""
        for file in self._called(self._files):
            yield Entry(file.path.removeprefix(prefix), file.size)

    def read(self, entry: Entry) -> Iterator[bytes]:
        """A file's content; a connection that breaks is taken up where it broke. Raises FetchError."""
        done = 0
        for attempt in range(1, ATTEMPTS + 1):
            broken: Exception | None = None
            for piece in self._stream(entry, done):
                if isinstance(piece, Exception):
                    broken = piece
                    break
                done += len(piece)
                yield piece
            if broken is None:
                return
            if attempt == ATTEMPTS:
                raise self._error(broken)
            self._pause(2.0 ** (attempt - 1))

    def _files(self) -> list[RepoFile]:
        """Pinned to the commit that the revision is at now, so that all files are of one."""
        where = self._location
        info = self._api.model_info(where.place, revision=where.revision, timeout=60.0)
        self._commit = info.sha
        tree = self._api.list_repo_tree(where.place, where.folder or None, recursive=True, revision=self._commit)
        items = list(itertools.islice(tree, MAX_LISTED + 1))
        if len(items) > MAX_LISTED:
            advice = "point at the adapter's own folder"
            raise FetchError("TooLarge", f"{where} has more than {MAX_LISTED} files and folders: {advice}")
        return [item for item in items if isinstance(item, RepoFile)]

    def _stream(self, entry: Entry, done: int) -> Iterator[bytes | Exception]:
        """The rest of a file behind `done` bytes; a break comes as the last item, since the retrying context
        would take an exception for one of its own."""
        try:
            with http_stream_backoff("GET", self._url(entry), headers=self._headers(done), timeout=TIMEOUT) as response:
                hf_raise_for_status(response)
                if done and response.status_code != httpx2.codes.PARTIAL_CONTENT:
                    raise FetchError("Unreachable", f"{self._location} cannot go on within {entry.name}", again=True)
                try:
                    yield from response.iter_bytes(CHUNK)
                except httpx2.TransportError as error:
                    yield error
        except (HfHubHTTPError, httpx2.HTTPError) as error:
            raise self._error(error) from None

    def _url(self, entry: Entry) -> str:
        folder = self._location.folder or None
        return hf_hub_url(
            self._location.place, entry.name, subfolder=folder, revision=self._commit, endpoint=self._endpoint
        )

    def _headers(self, done: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "User-Agent": "slmfleet-fetcher"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if done:
            headers["Range"] = f"bytes={done}-"
        return headers

    def _called(self, call: Callable[[], _T]) -> _T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except (HfHubHTTPError, httpx2.HTTPError, *_NOT_A_HUB) as error:
                failure = self._error(error)
                if attempt == ATTEMPTS or not failure.again:
                    raise failure from None
            self._pause(2.0 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def _error(self, error: Exception) -> FetchError:
        """In our words: the library's have addresses that are signed for a mirror."""
        where = self._location
        if isinstance(error, GatedRepoError):
            return FetchError("AccessDenied", f"{where} is gated: accept its terms and give the Secret a key HF_TOKEN")
        if isinstance(error, RevisionNotFoundError):
            return FetchError("NotFound", f'{where} has no revision "{where.revision or "main"}"')
        if isinstance(error, RemoteEntryNotFoundError):
            return FetchError("NotFound", f"{where}: there is no such folder or file in the repository")
        if isinstance(error, RepositoryNotFoundError):
            # The hub says the same of what does not exist and of what the token may not see.
            whose = "the Secret's HF_TOKEN may not see it" if self._token else "it is private: give the Secret HF_TOKEN"
            return FetchError("NotFound", f"{where}: there is no such repository, or {whose}")
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
        if status in (401, 403):
            return FetchError("AccessDenied", f"{where} refuses the credentials: check the Secret's HF_TOKEN")
        if isinstance(error, _NOT_A_HUB) and status is None:
            return FetchError("InvalidSource", f"{where} is no repository, or does not answer as the hub does")
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return FetchError("Unreachable", f"{where}: the server {UNTRUSTED}")
        told = f"the hub answers {status}" if status else f"{type(error).__name__}: {error}"[:300]
        return FetchError("Unreachable", f"{where} cannot be read: {told}", again=status is None or status in AGAIN)


def client(endpoint: str, authority: str | None) -> httpx2.Client:
    """The client that the library is to use: see `check`. It trusts `authority`, as PEM, beside the public ones."""
    trusted: ssl.SSLContext | bool = True
    if authority is not None:
        trusted = ssl.create_default_context()
        trusted.load_verify_locations(cadata=authority)
    return httpx2.Client(
        event_hooks={"request": [lambda request: check(request, endpoint)]},
        follow_redirects=True,
        max_redirects=5,
        timeout=TIMEOUT,
        verify=trusted,
    )


def check(request: httpx2.Request, endpoint: str, resolve: Resolve | None = None) -> None:
    """Called before each request, those that follow a redirect or a link to the next page too.

    The token goes to the endpoint and nowhere else. From the public hub the way leads only to public addresses. Raises
    FetchError.
    """
    host, home = request.url.host, httpx2.URL(endpoint)
    if _origin(request.url) == _origin(home):
        return
    request.headers.pop("Authorization", None)
    if home.scheme == "https" and request.url.scheme != "https":
        raise FetchError("Unreachable", f"{endpoint} leads to {request.url.scheme}://{host}, which is not encrypted")
    if endpoint == DEFAULT_ENDPOINT and not all(map(_public, (resolve or addresses)(host))):
        raise FetchError("Unreachable", f"{endpoint} leads to {host}, which is an internal address")


def addresses(host: str) -> list[str]:
    """The IP addresses of a name; none where only a proxy knows it."""
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(place[4][0]) for place in found]


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


def _public(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_global
