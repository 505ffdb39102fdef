"""Why an engine did not start, read from its log.

The cause is rarely the last line: a resource-tracker warning, a pydantic address or the API server's "Engine core
initialization failed. See root cause above" comes after it. Rows are ranked: the first one that matches anywhere wins,
so a specific cause beats the general error that it led to. Their texts are the same in all releases from 0.11 on unless
a row says otherwise.
"""

import re
from typing import Final

from slmfleet.engine.redact import redact

from . import hardware, memory, model, options, system
from .cause import Cause, Row, first_match

MAX_MESSAGE: Final = 600
MAX_LOG: Final = 65_536
MAX_LINE: Final = 2_000
"""A log comes from the outside: bounded, because patterns take longer than in proportion on a line without an end."""

RANKED: Final[tuple[Row, ...]] = (*options.ROWS, *memory.ROWS, *hardware.ROWS, *model.ROWS, *system.ROWS)

# What vLLM puts before its lines: "(EngineCore pid=7) ", and of what it logs "ERROR 11-20 10:00:00 [core.py:1] " too.
_PREFIX = re.compile(
    r"^(?:\([^()\n]{1,40} pid=\d+\) ?)?(?:[A-Z]{4,8} \d\d-\d\d \d\d:\d\d:\d\d \[[^\]\n]{1,80}\] ?)?", re.MULTILINE
)
# The last word of a traceback, unless it points to another one.
_ERROR_LINE = re.compile(
    r"(?:^|\s)((?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception): "
    r"(?![^\n]*See (?:root cause|stack trace) \(?above)[^\n]+)",
    re.MULTILINE,
)
# A pydantic error tells its cause on the lines after it: the field, where it is one's, and what is wrong.
_PYDANTIC = re.compile(
    r"validation errors? for \w+\n(?:(?P<field>\S+)\n)?[ ]+(?:Value error, )?(?P<text>[^\n]+?)(?: \[type=[^\n]*)?$",
    re.MULTILINE,
)


def find_cause(log: str) -> Cause | None:
    """The likeliest cause of death in an engine's log, redacted and bounded; None when the log names none."""
    log = "\n".join(line[:MAX_LINE] for line in log[-MAX_LOG:].splitlines())
    log = _PREFIX.sub("", log)
    if (found := first_match(log, RANKED)) is not None:
        return Cause(_clean(found[0]), found[1])
    if match := _PYDANTIC.search(log):
        field = f"{match['field']}: " if match["field"] else ""
        return Cause(_clean(field + match["text"]), "")
    errors = _ERROR_LINE.findall(log)
    return Cause(_clean(errors[0]), "") if errors else None


def _clean(text: str) -> str:
    """One redacted line of bounded length, without what pydantic adds for programmers."""
    one_line = " ".join(redact(text.partition(" [type=")[0]).split())
    return one_line if len(one_line) <= MAX_MESSAGE else one_line[: MAX_MESSAGE - 1] + "…"
