"""What a source's Secret may say, and what of the process's environment counts.

Only these names are read, so that whoever writes the Secret chooses keys and an endpoint and nothing else: neither a
proxy, nor where credentials are fetched from, nor anything of Python's.
"""

import ssl
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from .errors import FetchError

KEYS = {
    "hf": ("HF_TOKEN", "HF_ENDPOINT"),
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"),
    "gs": ("GOOGLE_SERVICE_ACCOUNT_KEY", "STORAGE_EMULATOR_HOST"),
}
"""The keys of the Secret by scheme. They are named as the clients' variables are."""
AUTHORITY = "CA_CERTIFICATE"
"""The key of the certificates, as PEM, by which an endpoint is known that no public authority vouches for."""
IDENTITY = frozenset(
    {
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    }
)
"""What EKS writes into the pods of a service account that has a role."""
MAX_VALUE = 64 * 2**10
"""Bytes of one value."""

_FAMILIES = ("AWS_", "GOOGLE_", "GCS_", "HF_", "HUGGING", "OBJECT_STORE_", "STORAGE_EMULATOR_")


def collect(scheme: str, folder: Path | None, environ: MutableMapping[str, str]) -> dict[str, str]:
    """The values for a scheme, from the environment and then from a mounted Secret, one file per key.

    Takes every variable of the clients' out of `environ` except those of the pod's identity. Raises FetchError.
    """
    found = {key: environ[key] for key in KEYS[scheme] if environ.get(key)}
    for name in [name for name in environ if name.startswith(_FAMILIES) and name not in IDENTITY]:
        del environ[name]
    if folder is not None:
        found |= {key: value for key in (*KEYS[scheme], AUTHORITY) if (value := _value(folder / key))}
    if AUTHORITY in found:
        _refuse_bad_authority(found[AUTHORITY])
    for key in ("HF_ENDPOINT", "AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        if key in found:
            found[key] = _endpoint(key, found[key])
    if ("AWS_ACCESS_KEY_ID" in found) != ("AWS_SECRET_ACCESS_KEY" in found):
        raise FetchError(
            "InvalidSecret", "the Secret has one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: give both"
        )
    return found


def secrets_of(found: Mapping[str, str]) -> tuple[str, ...]:
    """The values that nothing may show."""
    shown = {AUTHORITY, "HF_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_REGION", "STORAGE_EMULATOR_HOST"}
    return tuple(value for key, value in found.items() if key not in shown)


def _value(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_VALUE + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise FetchError("InvalidSecret", f"the Secret's key {path.name} cannot be read: {error.strerror}") from error
    if len(text) > MAX_VALUE:
        raise FetchError("InvalidSecret", f"the Secret's key {path.name} has more than {MAX_VALUE} bytes")
    try:
        return text.decode().strip()
    except UnicodeDecodeError as error:
        raise FetchError("InvalidSecret", f"the Secret's key {path.name} is not UTF-8") from error


def _refuse_bad_authority(text: str) -> None:
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise FetchError("InvalidSecret", f"the Secret's {AUTHORITY} is no certificate in PEM format") from error


def _endpoint(key: str, value: str) -> str:
    url = value.rstrip("/")
    if not url.startswith(("http://", "https://")) or "@" in url or "?" in url or not url.isprintable() or " " in url:
        raise FetchError("InvalidSecret", f"{key} is no address like https://host:port, without a user in it")
    return url
