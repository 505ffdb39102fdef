"""Reads published traces of requests: Azure's and Mooncake's files, plain or gzipped.

Azure LLM inference traces (github.com/Azure/AzurePublicDataset, CC-BY-4.0): CSV with TIMESTAMP, ContextTokens and
GeneratedTokens. Mooncake (github.com/kvcache-ai/Mooncake, FAST'25, Apache-2.0): JSON lines with timestamp in
milliseconds, input_length, output_length and hash_ids, the ids of the prompt's blocks of 512 tokens.
"""

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np

from bench.autoscale import servegen
from bench.autoscale.workload import Workload, bounded, scaled, window

MOONCAKE_BLOCK: Final = 512
LONGEST: Final = 10_000_000
"""Tokens; a longer prompt or output in a file is a mistake, not a request."""


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """The file's text; .gz is unpacked."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
            yield text
    else:
        with path.open(encoding="utf-8", newline="") as text:
            yield text


def name_of(path: Path) -> str:
    """A trace's name in tables: the file's without its endings."""
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def _tokens(path: Path, column: str, values: list[Any]) -> "np.ndarray[Any, np.dtype[np.int64]]":
    try:
        tokens = np.array([int(value) for value in values], np.int64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name}: {column} must be whole numbers of tokens: {error}") from error
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() <= LONGEST:
        raise ValueError(f"{path.name}: {column} has {tokens.min()} to {tokens.max()}; tokens are 0 to {LONGEST}")
    return np.maximum(tokens, 1)


def _sorted(path: Path, seconds: Any, prompt: Any, output: Any) -> Workload:  # noqa: ANN401 - arrays
    if not len(seconds):
        raise ValueError(f"{path.name}: no requests")
    order = np.argsort(seconds, kind="stable")
    arrival = (seconds - seconds[order[0]])[order]
    return Workload(name_of(path), arrival, prompt[order], output[order], float(np.ceil(arrival[-1] + 1e-9)) or 1.0)


def azure(path: Path) -> Workload:
    """An Azure trace; rows may be in any order."""
    with opened(path) as text:
        rows = csv.DictReader(text)
        missing = {"TIMESTAMP", "ContextTokens", "GeneratedTokens"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{path.name}: no column {', '.join(sorted(missing))}; is it an Azure trace (CSV)?")
        table = [(row["TIMESTAMP"], row["ContextTokens"], row["GeneratedTokens"]) for row in rows]
    try:
        # Seven decimals of a second are more than datetime has; a zone, where one is written, is always UTC.
        times = np.array([t.strip().removesuffix("Z").removesuffix("+00:00") for t, _, _ in table], "datetime64[ns]")
    except ValueError as error:
        raise ValueError(f"{path.name}: TIMESTAMP must be a date and time: {error}") from error
    if not len(times):
        raise ValueError(f"{path.name}: no requests")
    seconds = (times - times.min()) / np.timedelta64(1, "s")
    prompt = _tokens(path, "ContextTokens", [p for _, p, _ in table])
    return _sorted(path, seconds, prompt, _tokens(path, "GeneratedTokens", [o for _, _, o in table]))


def mooncake(path: Path) -> Workload:
    """A Mooncake trace with its prefix blocks."""
    with opened(path) as text:
        try:
            rows = [json.loads(line) for line in text if line.strip()]
            rows.sort(key=lambda row: float(row["timestamp"]))
            seconds = np.array([float(row["timestamp"]) / 1000 for row in rows])
            lengths = [(row["input_length"], row["output_length"]) for row in rows]
            ids = [row.get("hash_ids") or [] for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name}: not a line of a Mooncake trace (JSON): {error!r}") from error
    prompt = _tokens(path, "input_length", [p for p, _ in lengths])
    load = _sorted(path, seconds, prompt, _tokens(path, "output_length", [o for _, o in lengths]))
    if not any(ids):
        return load
    blocks = np.array([block for row in ids for block in row], np.int64)
    first = np.concatenate(([0], np.cumsum([len(row) for row in ids])))
    # The rows are sorted already, and stably: blocks keep their places.
    return Workload(
        load.name, load.arrival, load.prompt, load.output, load.duration, blocks, first, block_tokens=MOONCAKE_BLOCK
    )


FORMATS: Final[dict[str, Callable[[Path], Workload]]] = {"azure": azure, "mooncake": mooncake}


def read(
    path: Path, kind: str, *, scale: float = 1.0, start_hour: float = 0.0, hours: float | None = None, seed: int = 1
) -> Workload:
    """A window of a trace file, scaled and bounded.

    `kind` is azure, mooncake or servegen. Raises ValueError with a message for people, OSError where the file cannot
    be read.
    """
    seconds = None if hours is None else hours * 3600
    if kind == "servegen":
        return bounded(servegen.sampled(path, scale=scale, start=start_hour * 3600, seconds=seconds, seed=seed))
    return bounded(scaled(window(FORMATS[kind](path), start_hour * 3600, seconds), scale, seed))
