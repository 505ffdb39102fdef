"""What one /metrics page of vLLM says about the engines behind it.

Only the lines that are wanted are looked at: one compiled pattern runs over the page, and what a set of labels means is
remembered, since the same labels come with every page. `python -m bench.scrape` measures it beside other ways.

A page is whole or it is not used: a value that is missing, NaN, infinite or negative makes it a PageError, so that
nobody takes for zero what an engine did not say.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from . import metrics as known
from .histogram import Histogram
from .metrics import Metrics, Signal
from .series import Found, LabelMemory, PageError, Series, by_engine, by_reason, total, weighted

MAX_BYTES: Final = 4 * 2**20
"""A page of one engine has 45 kB, each further data-parallel engine adds 33 kB."""
MAX_LINES: Final = 10_000
"""Wanted lines; one engine has about 60."""


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
        self._memory = LabelMemory()

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
        self._memory.trim()
        known, meaning = self._memory.known, self._memory.meaning
        found: defaultdict[bytes, Series] = defaultdict(dict)
        for name, text, value in lines:
            labels = known.get(text) or meaning(text)
            series = found[name]
            try:
                number = float(value)
            except ValueError:
                number = -1.0
            if not 0.0 <= number < inf:  # NaN is not, either
                raise PageError("invalid", f"{name.decode()} is {value.decode(errors='replace')}")
            # Aliases repeat the same number; the larger one is right should one of them lag.
            if labels not in series or number > series[labels]:
                series[labels] = number
        return self._page(found)

    def _page(self, found: Found) -> Page:
        names = self._names
        running, waiting = by_engine(found, names.running), by_engine(found, names.waiting)
        steps, step_tokens = (by_engine(found, names.steps + part) for part in (b"_count", b"_sum"))
        if not running.keys() == waiting.keys() == steps.keys():
            raise PageError("incomplete", "the page tells running, waiting and steps of different engines")
        usage = by_engine(found, names.kv_usage) if names.kv_usage in found else {}
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
            waiting_by_reason=by_reason(found.get(names.waiting_by_reason, {})),
            kv_capacity=sum(capacity.values()) if capacity.keys() >= running.keys() else None,
            kv_usage=weighted(usage, capacity) if usage.keys() >= running.keys() else None,
            prompt_tokens=total(found, names.prompt_tokens),
            # Counted with the prompt's tokens; the prefix cache's own hits are counted at the look-up, earlier.
            cached_prompt_tokens=sum(found[names.cached if told else names.prefix_hits].values()),
            generated_tokens=total(found, names.generated_tokens),
            preemptions=total(found, names.preemptions),
            prefix_queries=sum(found[names.prefix_queries].values()),
            prefix_hits=sum(found[names.prefix_hits].values()),
            finished=total(found, names.finished + b"_count"),
            finished_generated_tokens=total(found, names.finished + b"_sum"),
            steps=sum(steps.values()),
            step_tokens=sum(step_tokens.values()),
            queued=total(found, names.queue_time + b"_count"),
            queue_seconds=total(found, names.queue_time + b"_sum"),
            first_token=self._memory.histogram(found, names.first_token + b"_bucket"),
            token_gap=self._memory.histogram(found, names.token_gap + b"_bucket"),
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


def _any_of(words: Collection[str]) -> str:
    """A pattern for any of these words that looks at each letter once: a third faster than their alternatives."""
    if len(words) == 1:
        return re.escape(next(iter(words)))
    heads = sorted({word[:1] for word in words}, reverse=True)
    tails = {head: [word[1:] for word in words if word[:1] == head] for head in heads}
    parts = [re.escape(head) + _any_of(tails[head]) if head else "" for head in heads]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"
