from typing import Any

import pytest

from slmfleet.api.pod import KeyRef
from slmfleet.engine.resolution import MountedFile
from tests.engine.resolving import env, refused, resolved, words

SECRET = {"name": "keys", "key": "api"}


def test_a_tool_parser_lets_the_model_choose_tools() -> None:
    assert words(resolved(toolCallParser="hermes"), "toolCallParser") == [
        "--tool-call-parser",
        "hermes",
        "--enable-auto-tool-choice",
    ]
    assert words(resolved(reasoningParser="qwen3"), "reasoningParser") == ["--reasoning-parser", "qwen3"]


@pytest.mark.parametrize(
    ("version", "field", "name", "told"),
    [
        ("0.32.0", "toolCallParser", "hermess", "did you mean hermes?"),
        ("0.32.0", "reasoningParser", "qwen33", "did you mean qwen3?"),
        ("0.11.0", "reasoningParser", "minimax_m2", "know it)"),
    ],
)
def test_a_parser_that_the_release_does_not_have_is_refused(version: str, field: str, name: Any, told: str) -> None:
    (text,) = refused(resolved(version, **{field: name}))
    assert text.startswith(f"spec.engine.{field}: {name} is not known to vLLM {version}")
    assert told in text


def test_a_parser_of_a_plugin_is_passed_on_unseen() -> None:
    found = resolved(toolCallParser="mine", extraArgs=["--tool-parser-plugin", "/parsers/mine.py"])
    assert not found.problems
    assert words(found, "toolCallParser") == ["--tool-call-parser", "mine", "--enable-auto-tool-choice"]
    assert [doubt.field for doubt in found.doubts] == ["spec.engine.toolCallParser"]


def test_a_chat_template_is_a_mounted_file() -> None:
    found = resolved(chatTemplate={"configMapRef": {"name": "templates", "key": "chat.jinja"}})
    (file,) = found.files
    assert file == MountedFile(KeyRef(name="templates", key="chat.jinja"), file.path, "spec.engine.chatTemplate")
    assert words(found, "chatTemplate") == ["--chat-template", file.path]


def test_the_api_key_is_never_an_argument() -> None:
    found = resolved(apiKeySecretRef=SECRET)
    assert env(found) == {"VLLM_API_KEY": None}
    (key,) = found.variables
    assert key.secret == KeyRef(name="keys", key="api")
    assert "--api-key" not in found.argv
