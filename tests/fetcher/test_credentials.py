"""What of a Secret and of the environment counts."""

from pathlib import Path

import pytest

from slmfleet.api.loraadapter import Credentials
from slmfleet.fetcher.credentials import AUTHORITY, KEYS, collect, secrets_of
from slmfleet.fetcher.errors import FetchError


def secret(folder: Path, **values: str) -> Path:
    for key, value in values.items():
        (folder / key).write_text(value)
    return folder


def test_a_mounted_secret_gives_the_documented_keys_and_no_other(tmp_path: Path) -> None:
    mounted = secret(
        tmp_path,
        AWS_ACCESS_KEY_ID="AKIA\n",
        AWS_SECRET_ACCESS_KEY="s3cret",
        AWS_METADATA_ENDPOINT="http://attacker",
        HTTPS_PROXY="http://attacker",
    )
    assert collect("s3", mounted, {}) == {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s3cret"}


def test_only_the_keys_of_the_scheme_are_read(tmp_path: Path) -> None:
    mounted = secret(tmp_path, HF_TOKEN="hf_x", AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="s3cret")
    assert collect("hf", mounted, {}) == {"HF_TOKEN": "hf_x"}


def test_the_environment_keeps_the_pods_identity_and_loses_what_else_clients_would_read() -> None:
    environ = {
        "PATH": "/bin",
        "AWS_ROLE_ARN": "arn",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
        "AWS_METADATA_ENDPOINT": "http://attacker",
        "AWS_ALLOW_HTTP": "true",
        "GOOGLE_BASE_URL": "http://attacker",
        "HF_HUB_CACHE": "/",
        "HF_TOKEN": "hf_x",
    }
    assert collect("hf", None, environ) == {"HF_TOKEN": "hf_x"}
    assert environ == {"PATH": "/bin", "AWS_ROLE_ARN": "arn", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}


@pytest.mark.parametrize(
    "endpoint", ["ftp://host", "host:9000", "http://user:password@host", "http://host?x=1", "http://a b"]
)
def test_an_endpoint_is_a_plain_address_and_its_text_is_not_repeated(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(FetchError, match="AWS_ENDPOINT_URL is no address") as caught:
        collect("s3", secret(tmp_path, AWS_ENDPOINT_URL=endpoint), {})
    assert "password" not in str(caught.value)


def test_half_a_pair_of_keys_is_told(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="give both"):
        collect("s3", secret(tmp_path, AWS_ACCESS_KEY_ID="AKIA"), {})


def test_a_value_is_bounded_and_text(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="has more than 65536 bytes"):
        collect("hf", secret(tmp_path, HF_TOKEN="x" * 65537), {})
    (tmp_path / "HF_TOKEN").write_bytes(b"\xff")
    with pytest.raises(FetchError, match="is not UTF-8"):
        collect("hf", tmp_path, {})


def test_addresses_and_regions_may_be_shown() -> None:
    found = {"AWS_ENDPOINT_URL": "http://minio", "AWS_REGION": "eu-west-1", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    assert secrets_of(found) == ("s3cret",)


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="CA_CERTIFICATE is no certificate in PEM format"):
        collect("s3", secret(tmp_path, CA_CERTIFICATE="certificate"), {})


def test_the_manifests_reference_names_every_key_that_is_read() -> None:
    told = Credentials.model_fields["keys"].description or ""
    assert [key for keys in (*KEYS.values(), (AUTHORITY,)) for key in keys if key not in told] == []
