import json
import logging
import sys
from typing import Any

from slmfleet.runtime.log import JsonFormatter, TextFormatter, about


def record(message: str, *args: object, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("slmfleet.kube.apply", level, "apply.py", 1, message, args, extra.pop("exc_info", None))
    made.created = 1767322800.5
    made.__dict__.update(extra)
    return made


def test_a_record_is_one_json_object_on_one_line() -> None:
    line = JsonFormatter().format(record("line one\nof %d", 2))
    assert "\n" not in line
    assert json.loads(line) == {
        "ts": "2026-01-02T03:00:00.500Z",
        "level": "info",
        "logger": "slmfleet.kube.apply",
        "msg": "line one\nof 2",
    }


def test_the_object_is_told_whether_we_or_kopf_speak_of_it() -> None:
    subject = {"kind": "SLMDeployment", "namespace": "chat", "name": "support"}
    ours = json.loads(JsonFormatter().format(record("x", **about(("chat", "support")))))
    kopfs = json.loads(JsonFormatter().format(record("x", k8s_ref=subject | {"uid": "u", "apiVersion": "v1"})))
    assert ours["object"] == kopfs["object"] == subject


def test_an_exception_comes_with_its_traceback_on_the_same_line() -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        made = record("failed", exc_info=sys.exc_info())
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert json.loads(line)["error"].endswith("ValueError: boom")


def test_text_is_for_a_terminal() -> None:
    made = record("put off", level=logging.WARNING, object={"namespace": "chat", "name": "support"})
    assert (
        TextFormatter().format(made) == "2026-01-02T03:00:00.500Z WARNING slmfleet.kube.apply [chat/support]: put off"
    )
