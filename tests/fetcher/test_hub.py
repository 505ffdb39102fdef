"""Where a request of the hub's client may lead."""

import httpx2
import pytest

from slmfleet.fetcher.errors import FetchError
from slmfleet.fetcher.hub import DEFAULT_ENDPOINT, check

MIRROR = "http://hub.mirrors.svc:8080"


def request(url: str) -> httpx2.Request:
    return httpx2.Request("GET", url, headers={"Authorization": "Bearer hf_x"})


def checked(url: str, endpoint: str = DEFAULT_ENDPOINT, address: str = "18.1.2.3") -> bool:
    """Whether the request keeps its token."""
    made = request(url)
    check(made, endpoint, lambda _host: [address])
    return "Authorization" in made.headers


@pytest.mark.parametrize(
    ("url", "endpoint", "kept"),
    [
        ("https://huggingface.co/acme/legal", DEFAULT_ENDPOINT, True),
        ("https://huggingface.co:443/acme/legal", DEFAULT_ENDPOINT, True),
        ("https://huggingface.co:8443/acme/legal", DEFAULT_ENDPOINT, False),
        ("https://cas-bridge.xethub.hf.co/x", DEFAULT_ENDPOINT, False),
        ("https://huggingface.co.example.com/x", DEFAULT_ENDPOINT, False),
        (f"{MIRROR}/acme/legal", MIRROR, True),
        ("http://minio.mirrors.svc:9000/x", MIRROR, False),
    ],
)
def test_the_token_goes_to_the_endpoint_alone(url: str, endpoint: str, kept: bool) -> None:
    assert checked(url, endpoint) is kept


@pytest.mark.parametrize("endpoint", [DEFAULT_ENDPOINT, "https://hub.mirrors.svc"])
def test_an_encrypted_endpoint_leads_to_no_plain_address(endpoint: str) -> None:
    with pytest.raises(FetchError, match="which is not encrypted"):
        checked("http://cdn.example.com/x", endpoint)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "127.0.0.1", "fd00:ec2::254", "fe80::1%eth0"])
def test_the_public_hub_leads_to_no_internal_address(address: str) -> None:
    with pytest.raises(FetchError, match="which is an internal address"):
        checked("https://cdn.example.com/x", address=address)


def test_a_name_that_only_a_proxy_knows_is_left_to_it() -> None:
    check(request("https://cdn.example.com/x"), DEFAULT_ENDPOINT, lambda _host: [])
