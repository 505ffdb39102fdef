"""Stand-ins for S3, Google Cloud Storage and the hub on loopback, with the faults that a test asks for.

They speak what the clients of the fetcher use: S3's ListObjectsV2 and GET with ranges (Google's XML API is the same),
and the hub's pages about a repository, its tree and its files.
"""

import base64
import json
import re
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

COMMIT = "5f0c7ad4" * 5
"""What every branch of the hub's repositories is at."""


@dataclass
class Store:
    """A bucket or a repository, and what happened at its server."""

    files: dict[str, bytes]
    listed: dict[str, int] = field(default_factory=dict)
    """Sizes that the list tells instead of the true ones."""
    key: str | None = None
    """The access key or token that a request must have."""
    fail: Counter[str] = field(default_factory=Counter)
    """How many times the requests for a file are answered with 503; "" is the list."""
    cut: Counter[str] = field(default_factory=Counter)
    """How many times a file's connection ends after half of what is left of it."""
    hold: threading.Event | None = None
    """Weights stop in the middle until this is set."""
    mirror: str | None = None
    """Where those are sent who want a file."""
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    """Path and headers, in the order of their arrival."""

    def asked_for(self, name: str) -> int:
        """How many requests were for a file."""
        return sum(path.endswith(f"/{name}") for path, _ in self.requests)


class Handler(BaseHTTPRequestHandler):
    """What all of them share: files with ranges and with faults."""

    protocol_version = "HTTP/1.1"
    store: ClassVar[Store]

    def log_message(self, *_: object) -> None:
        """Nothing: tests read their own records."""

    def do_GET(self) -> None:
        """Answer, or fail as the store says."""
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.store.requests.append((path, dict(self.headers)))
        name = path.rsplit("/", 1)[-1] if self.is_file(path) else ""
        if self.store.fail[name] > 0:
            self.store.fail[name] -= 1
            self.answer(503, b"slow down")
        elif self.store.key is not None and not self.authorized(self.headers.get("Authorization", "")):
            self.refuse()
        else:
            self.handle_path(path, parse_qs(url.query))

    def is_file(self, path: str) -> bool:
        """Whether a path is one of a file, not of a list."""
        raise NotImplementedError

    def authorized(self, header: str) -> bool:
        """Whether the header has the store's key."""
        raise NotImplementedError

    def refuse(self) -> None:
        """Answer to somebody without the key."""
        raise NotImplementedError

    def handle_path(self, path: str, query: Mapping[str, list[str]]) -> None:
        """Answer to somebody who may know."""
        raise NotImplementedError

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer."""
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, name: str, content: bytes) -> None:
        """A file, or what a Range asks for of it, or half of that."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]) if asked and asked[2] else len(content) - 1, len(content) - 1)
        part = content[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", '"5d41402abc4b2a76b9719d911017c592"')
        self.send_header("Last-Modified", "Fri, 20 Nov 2026 10:00:00 GMT")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if self.store.cut[name] > 0:
            self.store.cut[name] -= 1
            self.wfile.write(part[: len(part) // 2])
            self.close_connection = True
            return
        if self.store.hold is not None and name.endswith(".safetensors"):
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.store.hold.wait()
            part = part[len(part) // 2 :]
        self.wfile.write(part)


class Buckets(Handler):
    """S3 and Google's XML API, path style: the bucket `adapters` exists."""

    def is_file(self, path: str) -> bool:
        """A key behind the bucket."""
        return path.strip("/").count("/") > 0

    def authorized(self, header: str) -> bool:
        """By the key's id alone; signatures are the client's business."""
        return f"Credential={self.store.key}/" in header

    def refuse(self) -> None:
        """As S3 does, and it repeats what it was given, as some gateways do."""
        told = escape(self.headers.get("x-amz-security-token", ""))
        self.answer(403, f"<Error><Code>InvalidAccessKeyId</Code><Message>{told}</Message></Error>".encode())

    def handle_path(self, path: str, query: Mapping[str, list[str]]) -> None:
        """The list or an object."""
        bucket, _, key = path.strip("/").partition("/")
        if bucket != "adapters":
            self.answer(404, b"<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>")
        elif not key:
            self.answer(200, self._list("".join(query.get("prefix", []))), {"Content-Type": "application/xml"})
        elif key in self.store.files and self.store.mirror is not None:
            self.answer(307, b"", {"Location": f"{self.store.mirror}{path}"})
        elif key in self.store.files:
            self.send_file(key.rsplit("/", 1)[-1], self.store.files[key])
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")

    def _list(self, prefix: str) -> bytes:
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-20T10:00:00.000Z</LastModified>"
            f"<ETag>&quot;e&quot;</ETag><Size>{self.store.listed.get(key, len(content))}</Size></Contents>"
            for key, content in sorted(self.store.files.items())
            if key.startswith(prefix)
        )
        head = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>adapters</Name>'
        return f"{head}<IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()


class Hub(Handler):
    """The hub: the repository `acme/legal` exists, with one commit."""

    def is_file(self, path: str) -> bool:
        """Where files are resolved."""
        return "/resolve/" in path

    def authorized(self, header: str) -> bool:
        """By the token."""
        return header == f"Bearer {self.store.key}"

    def refuse(self) -> None:
        """As the hub does for what is private or does not exist."""
        if self.headers.get("Authorization"):
            self.answer(403, b"{}", {"X-Error-Message": f"no access with {self.headers['Authorization']}"})
        else:
            self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})

    def handle_path(self, path: str, query: Mapping[str, list[str]]) -> None:  # noqa: ARG002 - as the others
        """Pages about the repository, or a file."""
        if match := re.fullmatch(r"/api/models/acme/legal(?:/revision/(.+))?", path):
            self._repository(match[1] or "main")
        elif match := re.fullmatch(rf"/api/models/acme/legal/tree/{COMMIT}(?:/(.+))?", path):
            self._tree(f"{match[1]}/" if match[1] else "")
        elif match := re.fullmatch(rf"/acme/legal/resolve/{COMMIT}/(.+)", path):
            self._file(match[1], path)
        else:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _repository(self, revision: str) -> None:
        if revision not in ("main", "v7", COMMIT):
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        self._json({"id": "acme/legal", "modelId": "acme/legal", "sha": COMMIT, "siblings": [], "private": False})

    def _tree(self, prefix: str) -> None:
        entries = [
            {"type": "file", "path": name, "oid": "0" * 40, "size": self.store.listed.get(name, len(content))}
            for name, content in self.store.files.items()
            if name.startswith(prefix)
        ]
        if prefix and not entries:
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        self._json(entries)

    def _file(self, name: str, path: str) -> None:
        if name not in self.store.files:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif self.store.mirror is not None:
            self.answer(302, b"", {"Location": f"{self.store.mirror}{path}?X-Amz-Signature=s1gned"})
        else:
            self.send_file(name.rsplit("/", 1)[-1], self.store.files[name])

    def _json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


@contextmanager
def serving(kind: type[Handler], store: Store, identity: Path | None = None) -> Iterator[str]:
    """The server's address while it runs; `identity` is a file with a key and a certificate, for TLS."""
    handler = type(kind.__name__, (kind,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if identity is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{'http' if identity is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        if store.hold is not None:
            store.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """A bucket as a pod: `python3 servers.py FILES PORT [ACCESS KEY]`; FILES is JSON, content in base64 by key."""
    files, port, *key = sys.argv[1:]
    content = {name: base64.b64decode(data) for name, data in json.loads(Path(files).read_text()).items()}
    store = Store(content, key=key[0] if key else None)
    ThreadingHTTPServer(("", int(port)), type("Pod", (Buckets,), {"store": store})).serve_forever()


if __name__ == "__main__":
    main()
