"""/healthz, /readyz, /metrics and /wake over HTTP."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from slmfleet.metrics.registry import CONTENT_TYPE, Metrics

from .wake import ROUTE, Wake


def application(
    troubles: Callable[[], Iterable[str]], state: Callable[[], str], metrics: Metrics, wake: Wake
) -> web.Application:
    """The three pages: `troubles` yields the reasons for a restart, `state` says what the process does. And `wake`."""

    async def healthz(_: web.Request) -> web.Response:
        reasons = list(troubles())
        return web.Response(status=503 if reasons else 200, text="\n".join(reasons or ["ok"]) + "\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text=state() + "\n")  # a standby is ready: it takes over without being asked

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=metrics.expose(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    app.add_routes([web.post(ROUTE, wake.handle)])
    return app


@asynccontextmanager
async def serving(app: web.Application, port: int) -> AsyncIterator[None]:
    """Serve on all addresses for as long as the body runs. Raises OSError when the port is taken."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
