"""The operator's process."""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator

from slmfleet import __version__
from slmfleet.core.plan import plan
from slmfleet.kube.client import Client, connect
from slmfleet.kube.errors import KubeError
from slmfleet.metrics.registry import Metrics

from . import log
from .operator import LEADING, Operator
from .server import application, serving
from .settings import Settings, SettingsError, load
from .wake import Wake, reviewer

logger = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM or SIGINT: 0. A lost lease, or a part that broke: 1, the pod restarts. A bad setting: 2."""
    try:
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"slmfleet: {error}\n")
        return 2
    log.setup(settings.log_level, settings.log_format)
    try:
        return asyncio.run(_run(settings))
    except KubeError as error:
        logger.error("cannot start: %s", error)  # noqa: TRY400 - the trace says less than the message
        return 2
    except OSError as error:
        logger.error("cannot serve on SLMFLEET_PORT=%d: %s", settings.port, error)  # noqa: TRY400 - as above
        return 2


async def _run(settings: Settings) -> int:
    where = ", ".join(settings.namespaces) or "all namespaces"
    logger.info("slmfleet %s starts, port %d, %s", __version__, settings.port, where)
    metrics = Metrics(__version__)
    client = await connect(f"slmfleet/{__version__}", metrics.wrote)
    try:
        return await _serve(settings, client, metrics)
    finally:
        await client.close()


async def _serve(settings: Settings, client: Client, metrics: Metrics) -> int:
    operator = Operator(settings, client, metrics, plan)
    wake = Wake(reviewer(client), operator.scaling.wake, lambda: operator.state() == LEADING)
    async with serving(application(operator.troubles, operator.state, metrics, wake), settings.port):
        stop = asyncio.Event()
        work = asyncio.create_task(operator.work())
        waiter = asyncio.create_task(_told_to_stop(stop, operator.kopf_started))
        await asyncio.wait([work, waiter], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            logger.info("stopping: running reconciles finish first")
            await operator.stop(work)
            return 0
        waiter.cancel()
        for reason in _reasons(work.exception()):
            logger.error("ends, to be restarted: %s", reason)
        return 1


async def _told_to_stop(stop: asyncio.Event, kopf_started: asyncio.Event) -> None:
    """Returns after SIGTERM or SIGINT."""
    _catch_signals(stop)
    started, stopped = asyncio.create_task(kopf_started.wait()), asyncio.create_task(stop.wait())
    await asyncio.wait([started, stopped], return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    _catch_signals(stop)  # kopf took the signals when it started, and would cut off the running reconciles
    await stopped


def _catch_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


def _reasons(error: BaseException | None) -> Iterator[str]:
    """What broke, without the groups around it."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _reasons(inner)
    else:
        yield f"{type(error).__name__}: {error}"
