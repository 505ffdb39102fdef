import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmfleet.engine.redact import redact


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("token hf_abcdefghijklmnop is bad", "token [redacted] is bad"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer [redacted]"),
        ("--api-key supersecret --port 8000", "--api-key [redacted] --port 8000"),
        ("api_key='supersecret', model='x'", "api_key=[redacted], model='x'"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "AWS_SECRET_ACCESS_KEY=[redacted]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
        ("http://user:hunter22@host/path", "http://user:[redacted]@host/path"),
        ('{"password": "correct horse"}', '{"password": [redacted]}'),
        ("eyJhbGciOiJI.eyJzdWIiOiI.SflKxw", "[redacted]"),
        ("api_key=None, tokenizer='tiny'", "api_key=None, tokenizer='tiny'"),
        ("--hf-token=abcdef", "--hf-token=[redacted]"),
        ("token: s3cr3tvalue", "token: [redacted]"),
        ("max_tokens: 16 is above", "max_tokens: 16 is above"),
        ("the secret ingredient", "the secret ingredient"),
        ("max_num_batched_tokens=2048", "max_num_batched_tokens=2048"),
        ("KV cache size: 1,536 tokens per request", "KV cache size: 1,536 tokens per request"),
    ],
)
def test_credentials_are_cut_and_the_rest_stays(text: str, clean: str) -> None:
    assert redact(text) == clean


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=127), min_size=8, max_size=60))
def test_no_hub_token_survives(token: str) -> None:
    assert f"hf_{token}" not in redact(f"error with hf_{token} in it")


@given(st.text(max_size=300))
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
