"""The operations port: `/livez`, `/readyz`, `/metrics`. It serves no data of clients.

Liveness only says that the event loop turns: restarting a process does not bring a broker or a
database back. Readiness says whether the process should get work now.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
from aiohttp import web
from prometheus_client import REGISTRY
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

# Returns what is still missing before the process is ready: nothing, when it is.
Readiness = Callable[[], list[str]]


@asynccontextmanager
async def operations_server(
    host: str, port: int, readiness: Readiness, variable: str
) -> AsyncIterator[int]:
    """Serve the operations port inside the block; yields the port (useful if it was 0).

    Raises:
        OSError: the port cannot be bound. The message names `variable`, which sets it.
    """

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = readiness()
        return web.Response(
            status=503 if missing else 200,
            body=orjson.dumps({"ready": not missing, "missing": missing}) + b"\n",
            content_type="application/json",
        )

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise OSError(f"{variable}: {error.strerror or error}") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
