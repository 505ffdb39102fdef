"""Releases of vLLM as comparable values."""

import re
from dataclasses import dataclass
from functools import total_ordering

_PATTERN = re.compile(r"^(\d+)\.(\d+)\.(\d+)(?:rc(\d+)|\.post(\d+))?$")


@total_ordering
@dataclass(frozen=True)
class EngineVersion:
    """A release of vLLM; a release candidate sorts before its release, a post release after it."""

    release: tuple[int, int, int]
    stage: int = 0
    """-1 for a release candidate, 0 for a release, 1 for a post release."""
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> "EngineVersion":
        """Read '0.32.0', '0.32.0rc1' or '0.32.0.post1'. Raises ValueError for anything else."""
        match = _PATTERN.match(text)
        if match is None:
            raise ValueError(f"{text!r} is not a release of vLLM such as 0.32.0")
        major, minor, patch, candidate, post = match.groups()
        if candidate is not None:
            return cls((int(major), int(minor), int(patch)), -1, int(candidate))
        return cls((int(major), int(minor), int(patch)), 1 if post else 0, int(post or 0))

    def __str__(self) -> str:
        stage = {-1: f"rc{self.number}", 0: "", 1: f".post{self.number}"}[self.stage]
        return ".".join(map(str, self.release)) + stage

    def __lt__(self, other: "EngineVersion") -> bool:
        return (self.release, self.stage, self.number) < (other.release, other.stage, other.number)


OLDEST = EngineVersion((0, 11, 0))
"""First release with only the V1 engine."""
GRACEFUL_SHUTDOWN_SINCE = EngineVersion((0, 18, 0))
"""First release with --shutdown-timeout (vllm#36666); before it SIGTERM aborts what runs."""
