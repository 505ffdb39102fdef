"""What one /metrics page of vLLM says about the engines behind it.

Only the lines that are wanted are looked at: one compiled pattern runs over the page, and where everything stands is
remembered, since the same lines come with every page of a fleet. `python -m bench.scrape` measures it.

A page is whole or it is not used: a value that is missing, NaN, infinite or negative makes it a PageError, so that
nobody takes for zero what an engine did not say.
"""

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Final, NamedTuple, TypeVar

from . import metrics as known
from .histogram import Histogram
from .metrics import Metrics, Signal
from .series import Layout, PageError, label_pairs

MAX_BYTES: Final = 4 * 2**20
"""A page of one engine has 45 kB, each further data-parallel engine adds 33 kB."""
MAX_LINES: Final = 10_000
"""Wanted lines; one engine has about 60."""
MAX_RANKS: Final = 1024
"""Data-parallel engines whose caches are looked at."""
MAX_PLANS: Final = 256
"""Layouts that are kept: one for each fleet, some 20 kB, and a page of another one costs a millisecond more."""
MAX_CAPACITIES: Final = 4096

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


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


class PageReader:
    """Reads the pages of one release."""

    def __init__(self, metrics: Metrics) -> None:
        self._names = _Names(metrics)
        samples = _any_of([name.decode() for name in self._names.all()]).encode()
        # Greedy up to the last brace of the line: a label's value may hold braces itself.
        self._pattern = re.compile(rb"\n(" + samples + rb")\{([^\n]*)\} (\S{1,40})")
        self._cache_config = b"\n" + self._names.cache_config + b"{"
        self._plans: dict[tuple[tuple[bytes, ...], tuple[bytes, ...]], _Plan] = {}
        self._capacities: dict[bytes, tuple[str, float | None]] = {}

    def read(self, body: bytes) -> Page:
        """The page. Raises PageError: too_large, foreign (no vLLM wrote it), incomplete, invalid."""
        if len(body) > MAX_BYTES:
            raise PageError("too_large", f"the page has {len(body)} bytes (limit {MAX_BYTES})")
        text = b"\n" + body
        lines = self._pattern.findall(text)
        if len(lines) > MAX_LINES:
            raise PageError("too_large", f"the page has {len(lines)} series of interest (limit {MAX_LINES})")
        if not lines:
            raise PageError(
                "foreign", "no metrics of vLLM: engine.extraArgs must not hold --disable-log-stats, nor a proxy answer"
            )
        names, labels, numbers = zip(*lines, strict=True)
        plan = self._plans.get((names, labels))
        if plan is None:
            plan = _kept(self._plans, (names, labels), _Plan(Layout(names, labels), self._names), MAX_PLANS)
        return plan.page(_values(names, numbers), self._capacities_of(text))

    def _capacities_of(self, text: bytes) -> dict[str, float]:
        """By rank, the tokens that an engine's KV cache can hold: labels of their own, which differ within a fleet."""
        found: dict[str, float] = {}
        start = -1
        for _ in range(MAX_RANKS):
            start = text.find(self._cache_config, start + 1)
            if start < 0:
                break
            end = text.find(b"\n", start + 1)
            line = text[start + len(self._cache_config) : end if end >= 0 else len(text)]
            rank, tokens = self._capacity(line.rpartition(b"} ")[0])
            if tokens is not None:
                found[rank] = tokens
        return found

    def _capacity(self, labels: bytes) -> tuple[str, float | None]:
        known = self._capacities.get(labels)
        if known is None:
            settings = label_pairs(labels)
            known = _kept(
                self._capacities, labels, (settings.get("engine", "0"), capacity_of(settings)), MAX_CAPACITIES
            )
        return known


class _Plan:
    """Where on a page of one layout everything stands."""

    def __init__(self, layout: Layout, names: "_Names") -> None:
        """Raises PageError where something is missing."""
        self._settle = layout.settle
        running, waiting = layout.by_engine(names.running), layout.by_engine(names.waiting)
        steps, tokens = (layout.by_engine(names.steps + part) for part in (b"_count", b"_sum"))
        usage = layout.by_engine(names.kv_usage) if layout.has(names.kv_usage) else {}
        if not running.keys() == waiting.keys() == steps.keys() == tokens.keys():
            raise PageError("incomplete", "the page tells running, waiting and steps of different engines")
        self._engines = [
            (rank, running[rank], waiting[rank], usage.get(rank), steps[rank], tokens[rank]) for rank in running
        ]
        self._reasons = list(layout.by_reason(names.waiting_by_reason).items())
        # Counted with the prompt's tokens; the prefix cache's own hits are counted at the look-up, earlier.
        cached = names.cached if layout.has(names.cached) else names.prefix_hits
        self._counters = [
            (field, layout.total(name))
            for field, name in (
                ("prompt_tokens", names.prompt_tokens),
                ("cached_prompt_tokens", cached),
                ("generated_tokens", names.generated_tokens),
                ("preemptions", names.preemptions),
                ("prefix_queries", names.prefix_queries),
                ("prefix_hits", names.prefix_hits),
                ("finished", names.finished + b"_count"),
                ("finished_generated_tokens", names.finished + b"_sum"),
                ("queued", names.queue_time + b"_count"),
                ("queue_seconds", names.queue_time + b"_sum"),
            )
        ]
        self._first_token = layout.buckets(names.first_token + b"_bucket")
        self._token_gap = layout.buckets(names.token_gap + b"_bucket")

    def page(self, values: list[float], capacity: Mapping[str, float]) -> Page:
        """The page with these numbers. Raises PageError."""
        self._settle(values)
        engines = {
            rank: EngineState(
                running(values),
                waiting(values),
                None if usage is None else usage(values),
                steps(values),
                tokens(values),
            )
            for rank, running, waiting, usage, steps, tokens in self._engines
        }
        states = engines.values()
        try:
            first_token = Histogram(self._first_token.bounds, self._first_token.counts(values))
            token_gap = Histogram(self._token_gap.bounds, self._token_gap.counts(values))
        except ValueError as error:
            raise PageError("invalid", f"a histogram of latencies: {error}") from None
        return Page(
            engines=engines,
            running=sum(state.running for state in states),
            waiting=sum(state.waiting for state in states),
            waiting_by_reason={reason: count(values) for reason, count in self._reasons},
            kv_capacity=sum(capacity.values()) if capacity.keys() >= engines.keys() else None,
            kv_usage=_usage(engines, capacity),
            steps=sum(state.steps for state in states),
            step_tokens=sum(state.tokens for state in states),
            first_token=first_token,
            token_gap=token_gap,
            **{field: count(values) for field, count in self._counters},
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
        plain = [name for name in vars(self).values() if name and name not in (*summed, *bucketed, self.cache_config)]
        parts = [name + part for name in summed for part in (b"_count", b"_sum")]
        return [*plain, *parts, *(name + b"_bucket" for name in bucketed)]


def _values(names: Sequence[bytes], numbers: Sequence[bytes]) -> list[float]:
    """The numbers of a page's lines; raises PageError for what is no count."""
    try:
        values = list(map(float, numbers))
    except ValueError:
        values = [nan]
    if min(values) >= 0.0 and sum(values) < inf:  # NaN makes a sum that is not less
        return values
    name, number = next((n, v) for n, v in zip(names, numbers, strict=True) if not _is_count(v))
    raise PageError("invalid", f"{name.decode()} is {number.decode(errors='replace')}")


def _is_count(number: bytes) -> bool:
    try:
        return 0.0 <= float(number) < inf
    except ValueError:
        return False


def capacity_of(settings: Mapping[str, str]) -> float | None:
    """Tokens, from the labels of cache_config_info; None where they do not tell.

    Only the first is right for a hybrid model, whose layers share blocks; releases before 0.24 lack it.
    """
    for names in (("kv_cache_size_tokens",), ("num_gpu_blocks", "block_size")):
        values = [settings.get(name, "") for name in names]
        if all(value.isdecimal() and len(value) < 16 for value in values):
            tokens = 1.0
            for value in values:
                tokens *= int(value)
            return tokens or None
    return None


def _usage(engines: Mapping[str, EngineState], capacity: Mapping[str, float]) -> float | None:
    """Mean of the engines' usage, by capacity where all are known."""
    usage = {rank: state.kv_usage for rank, state in engines.items() if state.kv_usage is not None}
    if usage.keys() != engines.keys():
        return None
    if capacity.keys() >= usage.keys():
        return sum(used * capacity[rank] for rank, used in usage.items()) / sum(capacity[rank] for rank in usage)
    return sum(usage.values()) / len(usage)


def _kept(memory: dict[Key, Value], key: Key, value: Value, limit: int) -> Value:
    """Remember something; where there is too much already, begin again."""
    if len(memory) >= limit:
        memory.clear()
    memory[key] = value
    return value


def _any_of(words: Collection[str]) -> str:
    """A pattern for any of these words that looks at each letter once: a third faster than their alternatives."""
    if len(words) == 1:
        return re.escape(next(iter(words)))
    heads = sorted({word[:1] for word in words}, reverse=True)
    tails = {head: [word[1:] for word in words if word[:1] == head] for head in heads}
    parts = [re.escape(head) + _any_of(tails[head]) if head else "" for head in heads]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"
