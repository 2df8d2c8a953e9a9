"""Responses: the headers that all of them carry, JSON bodies, and the 204."""

import orjson
from aiohttp import ClientConnectionResetError, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_request import BaseRequest

from ingest.errors import RequestError

_SERVER = "metric-ingest"  # instead of aiohttp's, which tells versions


def common_headers(request_id: str) -> dict[str, str]:
    """Return the headers that every response has."""
    return {"X-Request-ID": request_id, "Server": _SERVER}


def json_response(body: bytes | dict[str, object], request_id: str) -> web.Response:
    """Make a 200 from JSON, encoded or not."""
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)
    return web.Response(
        body=encoded, content_type="application/json", headers=common_headers(request_id)
    )


def error_response(error: RequestError, request_id: str) -> web.Response:
    """Make the response of a request that failed."""
    return web.Response(
        status=error.failure.status,
        body=error.body(request_id),
        content_type="application/json",
        headers=error.headers | common_headers(request_id),
    )


class NoContent(web.StreamResponse):
    """A 204: the answer to almost every request, so it is written in one piece.

    Building it header by header takes as long as parsing a small update.
    """

    def __init__(self, request_id: str) -> None:
        super().__init__(status=204)
        self._request_id = request_id

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Write the whole answer (see web.StreamResponse.prepare)."""
        if request.version != HttpVersion11 or not request.keep_alive:  # it needs other headers
            self.headers.update(common_headers(self._request_id))
            return await super().prepare(request)
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("the client is gone")
        transport.write(
            f"HTTP/1.1 204 No Content\r\nX-Request-ID: {self._request_id}\r\n"
            f"Server: {_SERVER}\r\nDate: {rfc822_formatted_time()}\r\n\r\n".encode()
        )
        self._keep_alive = True
        self._eof_sent = True
        return None
