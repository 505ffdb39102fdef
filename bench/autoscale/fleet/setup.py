"""Makes a fleet's arrays."""

from dataclasses import astuple
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slmfleet.simulator.records import NONE, EngineModel, EngineState, Entry

from .requests import Requests
from .settings import Settings
from .state import COUNTERS, Arrays, Pod, Request, State, dtype_of

_DEMOTE_AT: Final = 0.65
"""Share of the objective for the time to first token that a request may wait in the first queue."""
_DRAWS: Final = 4093


class Parts(NamedTuple):
    """A fleet's arrays twice: for Python, where records have attributes, and for compiled code."""

    arrays: Arrays
    compiled: tuple[NDArray[Any], ...]

    def column(self, array: str, field: str) -> NDArray[Any]:
        """A field of all records of one array."""
        values: NDArray[Any] = self.compiled[Arrays._fields.index(array)][field]
        return values


def parts_for(requests: Requests, engine: EngineModel, settings: Settings, seed: int) -> Parts:
    """The arrays of a fleet without pods. Raises ValueError for what can never run."""
    _check(requests, engine)
    pods = 2 * settings.quota  # as many ready as draining ones
    places = 1 << (pods - 1).bit_length()
    state = State(
        late=settings.router == "late",
        ttft_objective=settings.ttft_objective,
        itl_objective=settings.itl_objective,
        demote_after=_DEMOTE_AT * settings.ttft_objective,
        event_skipping=settings.event_skipping,
        drain_timeout=settings.drain_timeout,
        quota=settings.quota,
    )
    entries = engine.num_blocks // engine.prefix_blocks if engine.prefix_blocks else 1
    compiled: tuple[NDArray[Any], ...] = (
        _records(state, 1),
        _records(engine, 1),
        _records(Pod(), pods),
        _records(EngineState(), pods + 1),
        np.zeros((pods, COUNTERS), np.int64),
        np.full((pods, engine.max_num_seqs), NONE, np.int64),
        np.zeros((pods, engine.max_num_seqs), np.int64),
        np.zeros((pods, engine.block_size), np.int64),
        _records(Entry(), pods * entries).reshape(pods, entries),
        np.full((pods, entries), NONE, np.int64),
        _request_records(requests, engine),
        requests.arrival.astype(np.float64),
        np.unique(requests.hashes, return_inverse=True)[1].astype(np.int64),
        np.zeros(len(requests), np.int64),
        np.full(places, np.inf),
        _tournament(places),
        np.full((64, 3), np.inf),
        np.random.default_rng([seed, 1]).random(_DRAWS),
    )
    views: list[Any] = [array.view(np.recarray) if array.dtype.names else array for array in compiled]
    return Parts(Arrays(views[0][0], *views[1:]), compiled)


def _records(of: Any, count: int) -> NDArray[Any]:  # noqa: ANN401 - any of the state's dataclasses
    return np.full(count, np.array(astuple(of), dtype_of(type(of))))


def _tournament(places: int) -> NDArray[np.int64]:
    """pods.set_due's, while nothing is due: the first place of every part wins it."""
    nodes = np.concatenate([np.zeros(places, np.int64), np.arange(places)])
    for node in range(places - 1, 0, -1):
        nodes[node] = nodes[2 * node]
    return nodes


def _request_records(requests: Requests, engine: EngineModel) -> NDArray[Any]:
    records = _records(Request(), len(requests))
    records["prompt"], records["output"] = requests.prompt, requests.output
    if len(requests.hashes) > 0 and engine.prefix_blocks > 0:
        starts = np.concatenate([[0], requests.hashes_end[:-1]])
        records["first_hash"] = starts
        records["hashes"] = np.minimum(requests.hashes_end - starts, requests.prompt // requests.hash_tokens)
    return records


def _check(requests: Requests, engine: EngineModel) -> None:
    if engine.a <= 0.0:
        raise ValueError(f"a step takes {engine.a} s: a must be above 0")
    if engine.max_num_batched_tokens < engine.max_num_seqs:
        raise ValueError(
            f"max_num_batched_tokens {engine.max_num_batched_tokens} is below max_num_seqs {engine.max_num_seqs}"
        )
    if len(requests) == 0 or np.any(np.diff(requests.arrival) < 0.0):
        raise ValueError("requests must be there, and in the order of their arrival")
    if min(requests.prompt.min(), requests.output.min()) < 1:
        raise ValueError("a request has at least one prompt token and generates at least one")
    tokens = requests.prompt + requests.output
    capacity = engine.num_blocks * engine.block_size
    if np.any(tokens > capacity):
        raise ValueError(
            f"{np.count_nonzero(tokens > capacity)} of {len(tokens)} requests do not fit a KV cache of {capacity} "
            f"tokens; the longest has {tokens.max()}"
        )
    if len(requests.hashes) > 0 and engine.prefix_blocks not in (0, requests.hash_tokens // engine.block_size):
        raise ValueError(
            f"a hash stands for {requests.hash_tokens} tokens: prefix_blocks must be "
            f"{requests.hash_tokens / engine.block_size:g} or 0, not {engine.prefix_blocks}"
        )
