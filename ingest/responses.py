"""Responses: the headers that all of them carry, JSON bodies, and the 204."""

from typing import cast

import orjson
from aiohttp import ClientConnectionResetError, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from ingest.compression import ENCODED, SMALL_BYTES, VARY, accepts_gzip, compressed
from ingest.errors import RequestError

_SERVER = "metric-ingest"  # instead of aiohttp's, which tells versions
# What is stored changes at any time, and an answer is for one resource group and one token: a cache
# that keeps it would show it to another.
_NOT_KEPT = {"Cache-Control": "no-store"}
# Under this key a request knows headers that its answer gets beside all others.
_MORE_HEADERS = "ingest.more_headers"


def common_headers(request_id: str) -> dict[str, str]:
    """Return the headers that every response has."""
    return {"X-Request-ID": request_id, "Server": _SERVER}


def json_response(
    body: bytes | dict[str, object], request: BaseRequest, request_id: str
) -> web.Response:
    """Make a 200 from JSON, encoded or not."""
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)
    response = web.Response(
        body=encoded,
        content_type="application/json",
        headers=common_headers(request_id) | VARY | _NOT_KEPT,
    )
    compress(response, request)
    return response


def error_response(error: RequestError, request_id: str) -> web.Response:
    """Make the response of a request that failed."""
    return web.Response(
        status=error.failure.status,
        body=error.body(request_id),
        content_type="application/json",
        headers=error.headers | common_headers(request_id) | _NOT_KEPT,
    )


def options_response(allowed: str, request_id: str) -> web.Response:
    """Make the answer to OPTIONS: the methods that there are."""
    return web.Response(status=204, headers=common_headers(request_id) | {"Allow": allowed})


def compress(response: web.Response, request: BaseRequest) -> None:
    """Compress a response that is not sent yet, if it is worth it and its client accepts that."""
    body = cast("bytes", response.body)
    if len(body) >= SMALL_BYTES:
        response.headers.update(VARY)
        if accepts_gzip(request):
            response.headers.update(ENCODED)
            response.body = compressed(body)


def stream_response(
    request: BaseRequest, request_id: str, headers: dict[str, str]
) -> web.StreamResponse:
    """Make a response of JSON that is sent in pieces; prepare and write it."""
    response = web.StreamResponse(headers=common_headers(request_id) | _NOT_KEPT | headers)
    response.content_type = "application/json"
    response.headers.extend(request.get(_MORE_HEADERS, {}))
    return response


def add_headers(request: BaseRequest, headers: CIMultiDict[str]) -> None:
    """Give the request's answer more headers, should it be sent before it is returned."""
    request[_MORE_HEADERS] = headers


class NoContent(web.StreamResponse):
    """A 204: the answer to almost every request, so it is written in one piece.

    Building it header by header takes as long as parsing a small update.
    """

    def __init__(self, request_id: str) -> None:
        super().__init__(status=204)
        self._request_id = request_id

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Write the whole answer (see web.StreamResponse.prepare)."""
        # Then it needs other headers, or has been given some.
        if request.version != HttpVersion11 or not request.keep_alive or self._headers:
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
