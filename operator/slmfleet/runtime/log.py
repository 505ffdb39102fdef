"""Log records as JSON lines for machines, or as text for a terminal; ours, kopf's and the libraries' alike."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from slmfleet.api.slmdeployment import KIND
from slmfleet.kube.resources import Key


def setup(level: str, style: Literal["json", "text"]) -> None:
    """Send every logger's records to stderr in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("kopf.objects", "kopf.activities", "kopf._core.engines.activities"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))


def about(key: Key) -> dict[str, Any]:
    """The `extra` of a record about one SLMDeployment."""
    return {"object": {"kind": KIND, "namespace": key[0], "name": key[1]}}


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """ts, level, logger, msg; the object it is about and the error where there is one."""
        line: dict[str, Any] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if (subject := _object(record)) is not None:
            line["object"] = subject
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, object, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The same facts in the order in which a person reads them."""
        subject = _object(record) or {}
        where = f" [{subject.get('namespace')}/{subject.get('name')}]" if subject.get("name") else ""
        text = f"{_timestamp(record)} {record.levelname:<7} {record.name}{where}: {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _object(record: logging.LogRecord) -> dict[str, Any] | None:
    """Ours say `object`, kopf's say `k8s_ref`."""
    subject = getattr(record, "object", None) or getattr(record, "k8s_ref", None)
    if not isinstance(subject, dict):
        return None
    return {key: subject[key] for key in ("kind", "namespace", "name") if subject.get(key)}
