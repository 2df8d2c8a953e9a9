"""Responses: the headers that all of them carry, and JSON bodies."""

import orjson
from aiohttp import web

from ingest.errors import RequestError

_SERVER = "metric-ingest"  # instead of aiohttp's, which tells versions


def common_headers(request_id: str) -> dict[str, str]:
    """Return the headers that every response has."""
    return {"X-Request-ID": request_id, "Server": _SERVER}


def json_response(body: bytes | dict[str, object]) -> web.Response:
    """Make a 200 from JSON, encoded or not."""
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)
    return web.Response(body=encoded, content_type="application/json")


def error_response(error: RequestError, request_id: str) -> web.Response:
    """Make the response of a request that failed."""
    return web.Response(
        status=error.failure.status,
        body=error.body(request_id),
        content_type="application/json",
        headers=error.headers | common_headers(request_id),
    )
