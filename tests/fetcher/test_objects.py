"""Buckets, without a network: obstore's store in memory, and what stores are configured with."""

from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore

from slmfleet.fetcher import objects
from slmfleet.fetcher.errors import FetchError
from slmfleet.fetcher.objects import ObjectSource
from slmfleet.fetcher.source import Entry, parse

BUCKET = parse("s3://adapters/legal/v7")
KEY = '{"type": "service_account", "private_key": "", "private_key_id": "", "client_email": "a@b"}'


def source(*keys: str) -> ObjectSource:
    store = MemoryStore()
    for key in keys:
        obstore.put(store, key, key.encode())
    return ObjectSource(store, BUCKET)


def config(source: ObjectSource) -> dict[str, Any]:
    """What the store was configured with, as obstore writes it."""
    store: Any = source._store
    return dict(store.config)


def test_names_are_those_below_the_folder_and_not_of_its_neighbours() -> None:
    found = source("legal/v7/a.json", "legal/v7/x/b.json", "legal/v71/c.json", "legal/d.json").entries()
    assert sorted(found, key=lambda entry: entry.name) == [Entry("a.json", 15), Entry("x/b.json", 17)]


def test_content_comes_as_bytes() -> None:
    assert b"".join(source("legal/v7/a.json").read(Entry("a.json", 15))) == b"legal/v7/a.json"


def test_an_object_that_went_away_is_not_found() -> None:
    with pytest.raises(FetchError, match="there is no such bucket or object"):
        list(source().read(Entry("a.json", 15)))


def test_a_folder_with_too_many_objects_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MAX_LISTED", 2)
    with pytest.raises(FetchError, match="has more than 2 objects: point at the adapter's own folder"):
        list(source(*(f"legal/v7/{number}" for number in range(3))).entries())


def test_without_keys_and_identity_requests_to_s3_are_anonymous() -> None:
    assert config(objects.s3(BUCKET, {}, {}))["skip_signature"] == "true"


def test_keys_of_the_secret_sign_requests_to_its_endpoint() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": "https://minio:9000"}
    made = config(objects.s3(BUCKET, keys | {"AWS_REGION": "eu-west-1"}, {}))
    assert "skip_signature" not in made
    assert (made["endpoint"], made["region"]) == ("https://minio:9000", "eu-west-1")


@pytest.mark.parametrize("name", ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"])
def test_the_identity_that_the_cluster_gave_to_the_pod_is_used(name: str) -> None:
    assert "skip_signature" not in config(objects.s3(BUCKET, {}, {name: "x", "AWS_REGION": "eu-west-1"}))


@pytest.mark.parametrize(
    ("endpoint", "plain"), [("http://minio:9000", True), ("https://minio:9000", False), (None, False)]
)
def test_unencrypted_ways_are_for_endpoints_that_say_so(endpoint: str | None, plain: bool) -> None:
    assert objects._client(endpoint, {}).get("allow_http") is plain


def nowhere(_host: str, _port: int) -> object:
    raise OSError("no such name")


def found(_host: str, _port: int) -> object:
    return []


def test_google_storage_is_anonymous_outside_of_its_cloud_and_the_pod_itself_inside() -> None:
    bucket = parse("gs://adapters/legal")
    assert config(objects.gs(bucket, {}, nowhere))["skip_signature"] == "true"
    assert "skip_signature" not in config(objects.gs(bucket, {}, found))


def test_a_key_of_google_is_a_service_accounts() -> None:
    with pytest.raises(FetchError, match="is not the JSON key of a service account") as caught:
        objects.gs(parse("gs://adapters/legal"), {"GOOGLE_SERVICE_ACCOUNT_KEY": '{"token": "s3cret"}'}, nowhere)
    assert "s3cret" not in str(caught.value)
