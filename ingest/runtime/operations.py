"""The operations port: `/livez`, `/readyz`, `/metrics`. It serves no data of clients.

Liveness only says that the event loop turns: restarting a process does not bring a broker or a
database back. Readiness says whether the process should get work now.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import orjson
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from prometheus_client import REGISTRY
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

log = logging.getLogger(__name__)

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

    def livez() -> web.Response:
        return web.Response(text="ok\n")

    def readyz() -> web.Response:
        missing = readiness()
        return web.Response(
            status=503 if missing else 200,
            body=orjson.dumps({"ready": not missing, "missing": missing}) + b"\n",
            content_type="application/json",
        )

    def metrics() -> web.Response:
        return web.Response(
            body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    routes = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}

    async def answer(request: BaseRequest) -> web.Response:
        page = routes.get(request.path)
        if page is None:
            return _error(HTTPStatus.NOT_FOUND)
        if request.method not in {"GET", "HEAD"}:
            return _error(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
        return page()

    runner = web.ServerRunner(_Server(answer, access_log=None), shutdown_timeout=1)
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


def _error(status: HTTPStatus, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{status}: {status.phrase}\n", headers=headers)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(RequestHandler):
    """aiohttp's own would show what it could not parse, in the answer and in the logs."""

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        del request, message
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("the operations port failed", exc_info=exc)
        response = _error(HTTPStatus(status))
        response.force_close()
        return response
