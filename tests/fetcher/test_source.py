"""The forms of a source's URI."""

import pytest

from slmfleet.fetcher.errors import FetchError
from slmfleet.fetcher.source import Location, parse


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("hf://acme/legal", Location("hf", "acme/legal", "")),
        ("hf://acme/legal/v7/best", Location("hf", "acme/legal", "v7/best")),
        ("s3://adapters/legal/v7", Location("s3", "adapters", "legal/v7")),
        ("s3://adapters/legal/v7/", Location("s3", "adapters", "legal/v7")),
        ("gs://adapters", Location("gs", "adapters", "")),
    ],
)
def test_a_uri_says_place_and_folder(uri: str, location: Location) -> None:
    assert parse(uri) == location
    assert str(location) == uri.rstrip("/")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "legal",
        "https://host/legal",
        "file:///etc",
        "hf://acme",
        "s3://",
        "s3:///legal",
        "s3://user:password@host/legal",
        "s3://adapters/../other",
        "s3://adapters//legal",
        "s3://adapters/./legal",
        "s3://adapters/legal\nv7",
        "hf://acme/..",
    ],
)
def test_anything_else_is_no_source(uri: str) -> None:
    with pytest.raises(FetchError) as caught:
        parse(uri)
    assert caught.value.reason == "InvalidSource"


def test_a_revision_is_one_of_the_hub() -> None:
    assert parse("hf://acme/legal", "v7").revision == "v7"
    with pytest.raises(FetchError, match="a revision goes with hf:// sources only"):
        parse("s3://adapters/legal", "v7")
    with pytest.raises(FetchError, match="is no commit, tag or branch"):
        parse("hf://acme/legal", "--upload-pack")
