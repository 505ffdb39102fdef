"""From argv to an exit code: start, serve, and end as vLLM does.

Exit codes: 0 after SIGTERM or an engine's death, 1 for a refused configuration or a failed start, 2 for flags, 143 for
SIGTERM while starting.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

from slmfleet.engine.version import EngineVersion

from . import failures, server
from .adapters import Adapters
from .config import ConfigError, EngineConfig, ModelFacts, api_keys, config_json_path, resolve
from .engine import Engine, State
from .faults import Faults
from .metrics import EngineMetrics
from .records import EngineModel
from .settings import Settings
from .steps import StepModel

LOG: Final = logging.getLogger("slmfleet.simulator")
_WATCHDOG_SECONDS: Final = 1.0
"""How long a server with a dead engine still answers; vLLM looks every five seconds."""


def configure_logging() -> None:
    """vLLM's log lines on stdout."""
    handler = logging.StreamHandler(sys.stdout)
    form = "(APIServer pid=%(process)d) %(levelname)s %(asctime)s [%(filename)s:%(lineno)d] %(message)s"
    handler.setFormatter(logging.Formatter(form, "%m-%d %H:%M:%S"))
    LOG.handlers[:] = [handler]
    LOG.setLevel(logging.INFO)


def run(args: Namespace, settings: Settings, version: EngineVersion, environment: Mapping[str, str]) -> int:
    """Start, serve until told to stop, and return the exit code."""
    begun = time.monotonic()
    configure_logging()
    faults = Faults().changed(settings.fault)
    LOG.info("vLLM API server version %s (simulated)", settings.version)
    seconds = settings.start_seconds if faults.start_seconds is None else faults.start_seconds
    try:
        config = resolve(args, _model_facts(args.model), settings, version, environment)
    except ConfigError as error:
        time.sleep(seconds)
        sys.stderr.write(failures.config_failure(error, os.getpid()))
        return 1
    _load(config, seconds, begun)
    if faults.crash is not None:
        sys.stderr.write(failures.engine_core_failure(faults.crash_text(), os.getpid()))
        return faults.crash_exit_code
    asyncio.run(_serve(args, config, settings, version, faults, environment))
    return 0


def _model_facts(model: str | None) -> ModelFacts:
    path = config_json_path(model)
    if path is None or not Path(path).is_file():
        return ModelFacts()
    return ModelFacts.of(json.loads(Path(path).read_text(encoding="utf-8")))


def _load(config: EngineConfig, seconds: float, begun: float) -> None:
    """Take the start's time and leave the marks by which a start is timed from a log."""
    weights = seconds * 0.4
    time.sleep(weights)
    LOG.info("Loading weights took %.2f seconds", weights)
    LOG.info("Model loading took 1.0 GiB memory and %.6f seconds", weights)
    LOG.info("Available KV cache memory: %.2f GiB", config.kv_tokens * config.kv_bytes_per_token / 2**30)
    LOG.info(
        "GPU KV cache size: %s tokens, Maximum concurrency for %s tokens per request: %.2fx",
        f"{config.kv_tokens:,}",
        f"{config.max_model_len:,}",
        config.max_concurrency,
    )
    time.sleep(max(0.0, begun + seconds - time.monotonic()))
    LOG.info("init engine (profile, create kv cache, warmup model) took %.2f s", seconds - weights)


async def _serve(
    args: Namespace,
    config: EngineConfig,
    settings: Settings,
    version: EngineVersion,
    faults: Faults,
    environment: Mapping[str, str],
) -> None:
    engine = _engine(args, config, settings, version, faults)
    stop, fault_set = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    keys = api_keys(args, environment)

    def die() -> None:
        engine.set_faults(engine.faults.changed({"die_after_seconds": 0.0}))
        fault_set.set()

    adapters = Adapters(config.served_names, config.lora, die)
    served = server.Server(config, engine, settings.version, keys, settings.output_tokens, fault_set.set, adapters)
    http = _HTTP(_connections(args, server.application(served, args.middleware or ()), environment))
    LOG.info("Starting vLLM server on http://%s:%d", http.config.host or "0.0.0.0", http.config.port)  # noqa: S104
    serving = asyncio.create_task(http.serve())
    steps = asyncio.create_task(engine.run())
    death = asyncio.create_task(_die_on_demand(engine, fault_set))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((stopped, death, serving), return_when=asyncio.FIRST_COMPLETED)
    if not engine.dead:
        await _shut_down(engine, config.shutdown_timeout)
    for task in (steps, death, stopped):
        task.cancel()
    LOG.info("[shutdown] API server: shutting down FastAPI HTTP server")
    # A client that leaves aborts its request; the end waits for whoever stays.
    http.should_exit = True
    await serving


class _HTTP(uvicorn.Server):
    """The server that vLLM runs in, which leaves signals to it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


def _connections(args: Namespace, app: Starlette, environment: Mapping[str, str]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=args.host or "",
        port=8000 if args.port is None else args.port,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_keep_alive=int(environment.get("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "5")),
        ssl_keyfile=args.ssl_keyfile,
        ssl_certfile=args.ssl_certfile,
    )


def _engine(
    args: Namespace, config: EngineConfig, settings: Settings, version: EngineVersion, faults: Faults
) -> Engine:
    step = settings.step
    model = EngineModel(
        num_blocks=config.num_blocks,
        a=step.a,
        p=step.p,
        d=step.d,
        kappa=step.kappa,
        max_num_seqs=config.max_num_seqs,
        max_num_batched_tokens=config.max_num_batched_tokens,
        block_size=config.block_size,
        reserve_full_prompt=config.reserve_full_prompt,
        prefix_blocks=1 if config.prefix_caching else 0,
    )
    metrics = EngineMetrics(version, config, args.show_hidden_metrics_for_version)
    return Engine(StepModel(model), metrics, faults)


async def _die_on_demand(engine: Engine, fault_set: asyncio.Event) -> None:
    """End when an engine death that a fault asked for has happened and the server's watchdog has seen it."""
    while True:
        fault_set.clear()
        wait = engine.faults.die_after_seconds
        try:
            await asyncio.wait_for(fault_set.wait(), wait)
        except TimeoutError:
            break
    sys.stderr.write(failures.engine_death(os.getpid()))
    engine.die()
    await asyncio.sleep(_WATCHDOG_SECONDS)


async def _shut_down(engine: Engine, seconds: float) -> None:
    """SIGTERM: with a timeout those in flight go on until it ends; without one, or later, they get nothing more."""
    LOG.info("[shutdown] API server: shutdown triggered")
    mode = "drain" if seconds > 0 else "abort"
    LOG.info("[shutdown] API server: stopping engine client mode=%s timeout=%gs", mode, seconds)
    engine.state = State.DRAINING if seconds > 0 else State.STOPPED
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(engine.drained(), seconds)
    engine.state = State.STOPPED
    LOG.info("[shutdown] API server: engine client stopped")
