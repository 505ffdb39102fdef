"""What one /metrics page of vLLM says about the engines behind it.

Only the lines that are wanted are looked at: one compiled pattern runs over the page, and what a set of labels means is
remembered, since the same labels come with every page. `python -m bench.scrape` measures it beside other ways.

A page is whole or it is not used: a value that is missing, NaN, infinite or negative makes it a PageError, so that
nobody takes for zero what an engine did not say.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final, NamedTuple

from . import metrics as known
from .histogram import Histogram
from .metrics import Metrics, Signal

MAX_BYTES: Final = 4 * 2**20
"""A page of one engine has 45 kB, each further data-parallel engine adds 33 kB."""
MAX_LINES: Final = 10_000
"""Wanted lines; one engine has about 60."""
MAX_LABELS: Final = 8192
"""Bytes of one line's labels; cache_config_info has the longest, about 1,200."""
MAX_REMEMBERED: Final = 16_384
"""Sets of labels whose meaning is kept: about 45 per model name and engine."""
MAX_REMEMBERED_LABELS: Final = 2048

_LABEL: Final = re.compile(rb'(?:\A|,)([A-Za-z_]\w*+)="((?:[^"\\]++|\\.)*+)"')


class PageError(Exception):
    """A page that cannot be used; `reason` is a stable word, the message is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class EngineState(NamedTuple):
    """What shows that one engine works: as long as requests run, some of it changes with every step."""

    running: float
    waiting: float
    kv_usage: float | None
    steps: float
    tokens: float
    """Computed and generated."""


@dataclass(frozen=True, slots=True)
class Page:
    """Sums over the data-parallel engines of one server. Counters count from the start of the server."""

    engines: Mapping[str, EngineState]
    """By rank."""
    running: float
    waiting: float
    waiting_by_reason: Mapping[str, float]
    """capacity, deferred; empty before 0.20, which does not tell."""
    kv_capacity: float | None
    """Tokens that the KV cache can hold; None for a model that has none, and where it is not told."""
    kv_usage: float | None
    """Its used part, 0 to 1, weighted by the engines' capacity; None where it is not told."""
    prompt_tokens: float
    cached_prompt_tokens: float
    """Those that were not computed; 0 where nothing tells of a prefix cache."""
    generated_tokens: float
    preemptions: float
    prefix_queries: float
    prefix_hits: float
    finished: float
    finished_generated_tokens: float
    steps: float
    step_tokens: float
    queued: float
    """Ended requests whose time in the queue is known."""
    queue_seconds: float
    """Their times together."""
    first_token: Histogram
    """Seconds to the first token."""
    token_gap: Histogram
    """Seconds between two tokens of a request."""


class _Labels(NamedTuple):
    """What a set of labels says, without model_name: a server's aliases are names of the same engine."""

    engine: str
    bound: float | None
    """A histogram's `le`."""
    others: tuple[tuple[str, str], ...]
    capacity: float | None
    """Tokens, where the labels are those of cache_config_info."""


_Series = dict[_Labels, float]


class PageReader:
    """Reads the pages of one release."""

    def __init__(self, metrics: Metrics) -> None:
        self._names = _Names(metrics)
        samples = b"|".join(re.escape(name) for name in self._names.all())
        # Greedy up to the last brace of the line: a label's value may hold braces itself.
        self._pattern = re.compile(rb"\n(" + samples + rb")\{([^\n]*)\} (\S{1,40})")
        self._remembered: dict[bytes, _Labels] = {}

    def read(self, body: bytes) -> Page:
        """The page. Raises PageError: too_large, foreign (no vLLM wrote it), incomplete, invalid."""
        if len(body) > MAX_BYTES:
            raise PageError("too_large", f"the page has {len(body)} bytes (limit {MAX_BYTES})")
        lines = self._pattern.findall(b"\n" + body)
        if len(lines) > MAX_LINES:
            raise PageError("too_large", f"the page has {len(lines)} series of interest (limit {MAX_LINES})")
        if not lines:
            raise PageError(
                "foreign", "no metrics of vLLM: engine.extraArgs must not hold --disable-log-stats, nor a proxy answer"
            )
        found: defaultdict[bytes, _Series] = defaultdict(dict)
        remembered = self._remembered
        for name, text, value in lines:
            labels = remembered.get(text) or self._labels(text)
            series = found[name]
            number = _number(name, value)
            # Aliases repeat the same number; the larger one is right should one of them lag.
            series[labels] = max(number, series.get(labels, 0.0))
        return self._page(found)

    def _labels(self, text: bytes) -> _Labels:
        if len(text) > MAX_LABELS:
            raise PageError("invalid", f"labels of {len(text)} bytes (limit {MAX_LABELS})")
        pairs = {name.decode(): value.decode(errors="replace") for name, value in _LABEL.findall(text)}
        pairs.pop("model_name", None)
        engine, bound = pairs.pop("engine", "0"), pairs.pop("le", None)
        if "num_gpu_blocks" in pairs:  # cache_config_info: a hundred settings, of which one matters
            labels = _Labels(engine, None, (), _capacity(pairs))
        else:
            others = tuple(sorted(pairs.items()))
            labels = _Labels(engine, None if bound is None else _bound(bound), others, None)
        if len(text) <= MAX_REMEMBERED_LABELS:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[text] = labels
        return labels

    def _page(self, found: Mapping[bytes, _Series]) -> Page:
        names = self._names
        running, waiting = _by_engine(found, names.running), _by_engine(found, names.waiting)
        steps, step_tokens = (_by_engine(found, names.steps + part) for part in (b"_count", b"_sum"))
        if not running.keys() == waiting.keys() == steps.keys():
            raise PageError("incomplete", "the page tells running, waiting and steps of different engines")
        usage = _by_engine(found, names.kv_usage) if names.kv_usage in found else {}
        capacity = {
            labels.engine: labels.capacity
            for labels in found.get(names.cache_config, ())
            if labels.capacity is not None
        }
        told = names.cached in found
        return Page(
            engines={
                engine: EngineState(count, waiting[engine], usage.get(engine), steps[engine], step_tokens[engine])
                for engine, count in running.items()
            },
            running=sum(running.values()),
            waiting=sum(waiting.values()),
            waiting_by_reason=_by_reason(found.get(names.waiting_by_reason, {})),
            kv_capacity=sum(capacity.values()) if capacity.keys() >= running.keys() else None,
            kv_usage=_weighted(usage, capacity) if usage.keys() >= running.keys() else None,
            prompt_tokens=_sum(found, names.prompt_tokens),
            # Counted with the prompt's tokens; the prefix cache's own hits are counted at the look-up, earlier.
            cached_prompt_tokens=sum(found[names.cached if told else names.prefix_hits].values()),
            generated_tokens=_sum(found, names.generated_tokens),
            preemptions=_sum(found, names.preemptions),
            prefix_queries=sum(found[names.prefix_queries].values()),
            prefix_hits=sum(found[names.prefix_hits].values()),
            finished=_sum(found, names.finished + b"_count"),
            finished_generated_tokens=_sum(found, names.finished + b"_sum"),
            steps=sum(steps.values()),
            step_tokens=sum(step_tokens.values()),
            queued=_sum(found, names.queue_time + b"_count"),
            queue_seconds=_sum(found, names.queue_time + b"_sum"),
            first_token=_histogram(found, names.first_token + b"_bucket"),
            token_gap=_histogram(found, names.token_gap + b"_bucket"),
        )


class _Names:
    """What the samples are called in one release."""

    def __init__(self, metrics: Metrics) -> None:
        def sample(signal: Signal) -> bytes:
            metric = metrics.tells(signal)
            return b"" if metric is None else metric.sample.encode()

        self.running = sample(known.RUNNING)
        self.waiting = sample(known.WAITING)
        self.waiting_by_reason = sample(known.WAITING_BY_REASON)
        self.kv_usage = sample(known.KV_USAGE)
        self.cache_config = sample(known.CACHE_CONFIG)
        self.prompt_tokens = sample(known.PROMPT_TOKENS)
        self.cached = sample(known.CACHED_PROMPT_TOKENS)
        self.generated_tokens = sample(known.GENERATED_TOKENS)
        self.preemptions = sample(known.PREEMPTIONS)
        self.prefix_queries = sample(known.PREFIX_QUERIES)
        self.prefix_hits = sample(known.PREFIX_HITS)
        self.finished = sample(known.FINISHED_TOKENS)
        self.steps = sample(known.ITERATION_TOKENS)
        self.queue_time = sample(known.QUEUE_TIME)
        self.first_token = sample(known.TIME_TO_FIRST_TOKEN)
        self.token_gap = sample(known.INTER_TOKEN_LATENCY)

    def all(self) -> list[bytes]:
        """Every sample that is wanted of a page."""
        summed, bucketed = (self.finished, self.steps, self.queue_time), (self.first_token, self.token_gap)
        plain = [name for name in vars(self).values() if name and name not in (*summed, *bucketed)]
        parts = [name + part for name in summed for part in (b"_count", b"_sum")]
        return [*plain, *parts, *(name + b"_bucket" for name in bucketed)]


def _number(name: bytes, value: bytes) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not (isfinite(number) and number >= 0):
        raise PageError("invalid", f"{name.decode()} is {value.decode(errors='replace')}")
    return number


def _bound(text: str) -> float:
    try:
        bound = float(text)
    except ValueError:
        bound = -inf
    if not bound >= 0:
        raise PageError("invalid", f'a bucket with le="{text[:40]}"')
    return bound


def _sum(found: Mapping[bytes, _Series], name: bytes) -> float:
    """Over all engines and further labels."""
    series = found.get(name)
    if not series:
        raise PageError("incomplete", f"no {name.decode()} on the page")
    return sum(series.values())


def _by_engine(found: Mapping[bytes, _Series], name: bytes) -> dict[str, float]:
    _sum(found, name)
    values: defaultdict[str, float] = defaultdict(float)
    for labels, value in found[name].items():
        values[labels.engine] += value
    return dict(values)


def _by_reason(series: _Series) -> dict[str, float]:
    reasons: defaultdict[str, float] = defaultdict(float)
    for labels, value in series.items():
        reasons[dict(labels.others).get("reason", "")] += value
    return dict(reasons)


def _histogram(found: Mapping[bytes, _Series], name: bytes) -> Histogram:
    _sum(found, name)
    counts: defaultdict[float, float] = defaultdict(float)
    for labels, value in found[name].items():
        if labels.bound is not None:
            counts[labels.bound] += value
    try:
        return Histogram(tuple(sorted(counts)), tuple(counts[bound] for bound in sorted(counts)))
    except ValueError as error:
        raise PageError("invalid", f"{name.decode()}: {error}") from None


def _capacity(settings: Mapping[str, str]) -> float | None:
    """Tokens. Only the first is right for a hybrid model, whose layers share blocks; releases before 0.24 lack it."""
    for names in (("kv_cache_size_tokens",), ("num_gpu_blocks", "block_size")):
        values = [settings.get(name, "") for name in names]
        if all(value.isdecimal() and len(value) < 16 for value in values):
            tokens = 1.0
            for value in values:
                tokens *= int(value)
            return tokens or None
    return None


def _weighted(usage: Mapping[str, float], capacity: Mapping[str, float]) -> float:
    """Mean of the engines' usage, by capacity where all are known."""
    if capacity.keys() >= usage.keys():
        return sum(used * capacity[engine] for engine, used in usage.items()) / sum(capacity[e] for e in usage)
    return sum(usage.values()) / len(usage)
