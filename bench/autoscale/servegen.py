"""Samples requests from ServeGen's client rates (github.com/alibaba/ServeGen, arXiv 2505.09999, Apache-2.0).

A `*_client_rates.csv` has one row per client and window of 600 s: client_id, window_start_s, rate_rps, cv of the times
between arrivals, dist (Gamma or Weibull). No row is no traffic; a window in which no client has a row is a gap in the
source. Beside it lies `*_length_pdf_rate_weighted.json`: {"input_tokens": {tokens: probability}, "output_tokens": ...}.

Rates that jump every 600 s would be load steps that nobody sent, so a client's rate runs in straight lines between the
middles of its windows. Arrivals are a renewal process on the clock of expected arrivals, so that the times between
them have the window's coefficient of variation whatever the rate does. A scale multiplies rates and keeps each
client's burstiness.
"""

import csv
import gzip
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.autoscale.workload import MAX_HOURS, MAX_REQUESTS, Floats, Ints, Workload

WINDOW: Final = 600.0
CV_BOUNDS: Final = (0.1, 12.0)
RATES: Final = "_client_rates.csv"
LENGTHS: Final = "_length_pdf_rate_weighted.json"


@dataclass(frozen=True)
class Client:
    """One client's windows, in order of time; a window without a row has rate 0."""

    rate: Floats
    """Requests per second."""
    cv: Floats
    weibull: "np.ndarray[Any, np.dtype[np.bool_]]"


def _text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def _clients(path: Path) -> tuple[list[Client], int]:
    """The clients by id and the number of windows from the first to the last."""
    rows = csv.DictReader(_text(path).splitlines())
    missing = {"client_id", "window_start_s", "rate_rps", "cv", "dist"} - set(rows.fieldnames or ())
    if missing:
        raise ValueError(f"{path.name}: no column {', '.join(sorted(missing))}; is it ServeGen's *{RATES}?")
    table: dict[str, list[tuple[int, float, float, bool]]] = defaultdict(list)
    for row in rows:
        try:
            entry = (round(float(row["window_start_s"]) / WINDOW), float(row["rate_rps"]), float(row["cv"] or 1))
        except ValueError as error:
            raise ValueError(f"{path.name}: a row of client {row['client_id']}: {error}") from error
        table[row["client_id"]].append((*entry, row["dist"].strip().lower() == "weibull"))
    if not table:
        raise ValueError(f"{path.name}: no clients")
    windows = 1 + max(entry[0] for entries in table.values() for entry in entries)
    known = np.zeros(windows, bool)
    for entries in table.values():
        known[[entry[0] for entry in entries]] = True
    clients = []
    for _, entries in sorted(table.items()):
        rate, cv, weibull = np.zeros(windows), np.ones(windows), np.zeros(windows, bool)
        for index, value, spread, is_weibull in entries:
            rate[index], cv[index], weibull[index] = value, spread, is_weibull
        # A gap in the source is not an outage of the client.
        rate = np.interp(np.arange(windows), np.flatnonzero(known), rate[known])
        clients.append(Client(rate, np.clip(cv, *CV_BOUNDS), weibull))
    return clients, windows


def weibull_shape(cv: float) -> float:
    """The shape k of the Weibull distribution with this coefficient of variation: cv^2 = G(1+2/k) / G(1+1/k)^2 - 1."""
    low, high = 0.15, 50.0
    for _ in range(60):
        shape = (low * high) ** 0.5
        spread = math.exp(math.lgamma(1 + 2 / shape) - 2 * math.lgamma(1 + 1 / shape)) - 1
        low, high = (shape, high) if spread > cv * cv else (low, shape)
    return low


def _gaps(rng: np.random.Generator, cv: float, weibull: bool, count: int) -> Floats:
    """Times between arrivals with mean 1."""
    if weibull:
        shape = weibull_shape(cv)
        draws: Floats = rng.weibull(shape, count) / math.gamma(1 + 1 / shape)
        return draws
    shape = 1 / (cv * cv)
    return rng.gamma(shape, 1 / shape, count)


def _arrivals(client: Client, scale: float, start: float, end: float, rng: np.random.Generator) -> Floats:
    """One client's arrivals between `start` and `end`, seconds from `start`."""
    middles = (np.arange(len(client.rate)) + 0.5) * WINDOW
    edges = np.unique(np.concatenate(([start, end], middles[(middles > start) & (middles < end)])))
    rates = np.interp(edges, middles, client.rate * scale)
    expected = np.concatenate(([0.0], np.cumsum((rates[1:] + rates[:-1]) / 2 * np.diff(edges))))
    points: list[Floats] = []
    left = float(rng.random())  # the process runs already when the window begins
    for i in range(len(edges) - 1):
        begin, finish = expected[i], expected[i + 1]
        index = min(int((edges[i] + edges[i + 1]) / 2 / WINDOW), len(client.rate) - 1)
        at = begin + left
        while at < finish:
            steps = _gaps(rng, client.cv[index], bool(client.weibull[index]), max(16, int((finish - at) * 1.2)))
            row = at + np.concatenate(([0.0], np.cumsum(steps)))
            points.append(row[:-1][row[:-1] < finish])
            at = float(row[np.searchsorted(row, finish)]) if row[-1] >= finish else float(row[-1])
        left = at - finish
    marks = np.concatenate(points) if points else np.zeros(0)
    return _when(marks, edges, rates, expected) - start


def _when(marks: Floats, edges: Floats, rates: Floats, expected: Floats) -> Floats:
    """The times at which that many arrivals were expected: the inverse of a quadratic in each stretch."""
    i = np.clip(np.searchsorted(expected, marks, side="right") - 1, 0, len(edges) - 2)
    width = edges[i + 1] - edges[i]
    slope = (rates[i + 1] - rates[i]) / width
    area = marks - expected[i]
    # r s + a s^2 / 2 = area, in the form that stays exact for slopes near 0
    root = np.sqrt(np.maximum(rates[i] ** 2 + 2 * slope * area, 0))
    times: Floats = edges[i] + np.minimum(2 * area / np.maximum(rates[i] + root, 1e-12), width)
    return times


def lengths_file(path: Path) -> Path:
    """The file with the lengths that belongs to a file of rates."""
    plain = path.name.removesuffix(".gz")
    if not plain.endswith(RATES):
        raise ValueError(f"{path.name}: a ServeGen trace is a file named *{RATES}, so that its lengths can be found")
    names = [plain.removesuffix(RATES) + LENGTHS + ending for ending in ("", ".gz")]
    found = next((path.with_name(name) for name in names if path.with_name(name).exists()), None)
    if found is None:
        raise ValueError(f"{path.name}: its lengths are missing: {names[0]} must lie beside it")
    return found


def _lengths(pdf: dict[str, float], count: int, rng: np.random.Generator) -> Ints:
    tokens = np.array([int(float(key)) for key in pdf], np.int64)
    weights = np.array(list(pdf.values()), np.float64)
    drawn: Ints = np.maximum(rng.choice(tokens, size=count, p=weights / weights.sum()), 1)
    return drawn


def sampled(path: Path, *, scale: float, start: float, seconds: float | None, seed: int) -> Workload:
    """Requests of all clients between `start` and `start + seconds`.

    Raises ValueError with a message for people, OSError where a file cannot be read.
    """
    clients, windows = _clients(path)
    pdfs = json.loads(_text(lengths_file(path)))
    whole = windows * WINDOW
    end = min(whole, start + min(MAX_HOURS * 3600, whole if seconds is None else seconds))
    if not 0 <= start < end:
        raise ValueError(f"{path.name}: it lasts {whole / 3600:.1f} h: choose --start-hour and --hours inside it")
    if not 0 < scale < 1e4:
        raise ValueError(f"--scale {scale:g}: the factor of the rates must lie between 0 and 10000")
    rng = np.random.default_rng([seed, 2])
    middle = slice(int(start / WINDOW), max(int(start / WINDOW) + 1, math.ceil(end / WINDOW)))
    total = sum(float(client.rate[middle].mean()) for client in clients) * scale * (end - start)
    if total > 1.2 * MAX_REQUESTS:  # what is drawn in vain is memory and time
        end = start + (end - start) * 1.2 * MAX_REQUESTS / total
    arrival = np.sort(np.concatenate([_arrivals(client, scale, start, end, rng) for client in clients]))
    if not len(arrival):
        raise ValueError(f"{path.name}: no request in this window at --scale {scale:g}")
    prompt = _lengths(pdfs["input_tokens"], len(arrival), rng)
    output = _lengths(pdfs["output_tokens"], len(arrival), rng)
    name = path.name.removesuffix(".gz").removesuffix(RATES)
    return Workload(name, arrival, prompt, output, end - start, sampled=True)
