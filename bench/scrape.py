"""What reading engines costs: `python -m bench.scrape [--write]`.

First one page: the CPU time that reading it takes, beside the client library's parser and beside looking at every line.
Then getting it from 500 engines, in bursts of 50, beside a general HTTP client. Then 2,000 engines in 40 fleets, each
read every 2 s for 20 s, through all that the operator does with them: connection, page, sums over the fleet, signals.
The engines are one process that answers on 2,000 loopback addresses with a page of the real vLLM; only this process'
CPU time counts, which other work on the machine makes longer. --write keeps the result in bench/results/scrape.json.
"""

import asyncio
import gzip
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bench.machine import described, tell
from slmfleet.core.autoscale.fleet import Objectives
from slmfleet.engine.metrics import MetricTable
from slmfleet.engine.page import MAX_BYTES, PageReader
from slmfleet.engine.version import EngineVersion
from slmfleet.kube.resources import Key, Manifest
from slmfleet.metrics.registry import Metrics
from slmfleet.metrics.scrape import Scraper
from slmfleet.runtime.scraping import NORMAL_SECONDS, FleetLook, Scraping, Watched

PAGE: Final = Path(__file__).parents[1] / "tests" / "engine" / "vllm-0.32.0.prom.gz"
RESULT: Final = Path(__file__).parent / "results" / "scrape.json"
RELEASE: Final = EngineVersion.parse("0.32.0")
ROUNDS: Final = 30
FETCHES: Final = 6
BURST: Final = 50
FLEETS: Final = 40
PODS: Final = 50
WARM_UP: Final = 6.0
SECONDS: Final = 20.0
BUDGET_US: Final = 300.0
BUDGET_CORES: Final = 0.5


def cpu_us(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU time, the median over the rounds."""
    work()
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            work()
        taken.append((time.process_time() - began) / times)
    return round(statistics.median(taken) * 1e6, 1)


def one_page(page: bytes) -> dict[str, float]:
    reader = PageReader(MetricTable.load().for_version(RELEASE))
    text = page.decode()
    return {
        "bytes": len(page),
        "read_us": cpu_us(lambda: reader.read(page), 100),
        "read_us_per_50_kB": round(cpu_us(lambda: reader.read(page), 100) * 50_000 / len(page), 1),
        "every_line_looked_at_us": cpu_us(lambda: [line.partition(b"{") for line in page.split(b"\n")], 100),
        "client_library_us": cpu_us(lambda: list(text_string_to_metric_families(text)), 2),
    }


def engines(page: bytes, told: Connection) -> None:
    """All engines, as one process."""
    head = f"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-length: {len(page)}\r\n"
    answer = head.encode() + b"content-type: text/plain; version=1.0.0; charset=utf-8\r\n\r\n" + page

    class Engine(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport = transport

        def data_received(self, _data: bytes) -> None:
            self._transport.write(answer)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Engine, "0.0.0.0", 0, backlog=4096)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def address_of(number: int) -> str:
    return f"127.0.{1 + number // 250}.{1 + number % 250}"


def pod(number: int) -> Manifest:
    return {
        "metadata": {"name": f"pod-{number}", "uid": str(number), "labels": {"slmfleet.dev/traffic": "true"}},
        "status": {
            "podIP": address_of(number),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


async def burst_us(get: Callable[[str], Awaitable[bytes]], addresses: list[str]) -> float:
    """Microseconds of CPU time per page, once all connections are there."""
    taken = []
    for _ in range(FETCHES):
        began = time.process_time()
        for place in range(0, len(addresses), BURST):
            await asyncio.gather(*map(get, addresses[place : place + BURST]))
        taken.append((time.process_time() - began) / len(addresses))
    return round(statistics.median(taken[1:]) * 1e6, 1)


async def transports(port: int) -> dict[str, float]:
    addresses = [address_of(number) for number in range(500)]
    async with Scraper(seconds=5.0, limit=512, max_bytes=MAX_BYTES) as scraper:
        ours = await burst_us(lambda address: scraper.get(address, port), addresses)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=5.0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=2**18) as session:

        async def get(address: str) -> bytes:
            async with session.get(f"http://{address}:{port}/metrics") as response:
                return await response.read()

        return {"scraper_us": ours, "aiohttp_us": await burst_us(get, addresses)}


async def many(port: int) -> dict[str, float]:
    fleets: dict[Key, list[Manifest]] = {
        ("bench", f"fleet-{n}"): [pod(n * PODS + place) for place in range(PODS)] for n in range(FLEETS)
    }
    looks: list[FleetLook] = []
    metrics = Metrics("bench")
    async with Scraper(seconds=5.0, limit=512, max_bytes=MAX_BYTES) as scraper:
        scraping = Scraping(
            lambda address, _: scraper.get(address, port),
            lambda key: Watched(RELEASE, fleets[key], Objectives(1.0, 0.1), 300.0),
            lambda _, look: looks.append(look),
            metrics=metrics,
            rng=Random(1),
            wall=lambda: datetime.now(UTC),
        )
        running = asyncio.create_task(scraping.run())
        for key in fleets:
            scraping.follow(key)
        await asyncio.sleep(WARM_UP)
        looks.clear()
        began, wall = time.process_time(), time.monotonic()
        await asyncio.sleep(SECONDS)
        cpu, seconds = time.process_time() - began, time.monotonic() - wall
        running.cancel()
        await asyncio.wait([running])
    pages = sum(look.signals.reporting for look in looks)
    return {
        "pods": FLEETS * PODS,
        "fleets": FLEETS,
        "period_s": NORMAL_SECONDS,
        "seconds": round(seconds, 1),
        "pages_per_s": round(pages / seconds, 1),
        "missing": sum(look.signals.ready - look.signals.reporting for look in looks),
        "cores": round(cpu / seconds, 3),
        "us_per_page": round(cpu / pages * 1e6, 1),
    }


def served(page: bytes) -> tuple[dict[str, float], dict[str, float]]:
    """What needs engines."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=engines, args=(page, theirs), daemon=True)
    process.start()
    try:
        port = ours.recv()
        return asyncio.run(transports(port)), asyncio.run(many(port))
    finally:
        process.terminate()
        process.join()


def main() -> int:
    page = gzip.decompress(PAGE.read_bytes())
    read, (got, scraped) = one_page(page), served(page)
    result: dict[str, Any] = {
        "command": "python -m bench.scrape --write",
        **described(),
        "load_average": round(os.getloadavg()[0], 1),
        "one_page": read,
        "one_request": got,
        "fleets": scraped,
        "within_budget": read["read_us_per_50_kB"] <= BUDGET_US and scraped["cores"] <= BUDGET_CORES,
    }
    tell(result, RESULT)
    return 0 if result["within_budget"] else 1


if __name__ == "__main__":
    sys.exit(main())
