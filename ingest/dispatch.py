"""From a request to its endpoint, and from whatever happens there to an answer.

aiohttp's low-level server is used without its router and middlewares: there are two paths, and
they cost more than everything else that is done for a small update.
"""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest import telemetry
from ingest.errors import Error, RequestError
from ingest.responses import compress, error_response, options_response
from ingest.runtime.database import DATABASE_ERRORS

log = logging.getLogger(__name__)

Endpoint = Callable[[BaseRequest, str], Awaitable[web.StreamResponse]]
Dispatch = Callable[[BaseRequest], Awaitable[web.StreamResponse]]
METRICS_PATH = "/v2/lm/metrics"
OPENAPI_PATH = "/openapi.json"
DOCS_PATH = "/docs"
# The server itself: OPTIONS * asks for what it can do (RFC 9110, section 9.3.7).
_SERVER_PATH = "*"
# What the logs say of any other.
UNKNOWN_PATH = "(unknown)"

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:/+=@-]{1,128}")
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Dispatcher:
    """Answer every request: the server's handler. A bug ends one request only."""

    def __init__(self, routes: Mapping[str, Mapping[str, Endpoint]]) -> None:
        """Take the endpoints by path and method."""
        self._routes = {path: _with_usual(methods) for path, methods in routes.items()}
        every = {name for methods in self._routes.values() for name in methods}
        self._routes[_SERVER_PATH] = {"OPTIONS": _options(every)}
        # But for what the page of the documentation loads.
        self._paths = ", ".join(path for path in routes if not path.startswith(f"{DOCS_PATH}/"))
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    async def __call__(self, request: BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        started = time.perf_counter()
        request_id = self._request_id(request)
        method, path = request.method, request.path
        failure: RequestError | None = None
        try:
            response = await self._endpoint(method, path)(request, request_id)
        except ConnectionError:  # the client went away: aiohttp closes the connection
            telemetry.REQUESTS.count_aborted(_known(method))
            raise
        except Exception as error:  # noqa: BLE001 - it is told apart and logged
            failure = _failure(error, request_id)
            response = error_response(failure, request_id)
            compress(response, request)
        seconds = time.perf_counter() - started
        report(
            method,
            path if path in self._routes else UNKNOWN_PATH,
            request_id,
            response.status,
            failure,
            seconds,
        )
        return response

    def _endpoint(self, method: str, path: str) -> Endpoint:
        methods = self._routes.get(path)
        if methods is None:
            detail = f"{path[:60]!r} is not there; this service has {self._paths}"
            raise RequestError(Error.PATH_UNKNOWN, [detail])
        endpoint = methods.get(method)
        if endpoint is None:
            allowed = _allow(methods)
            detail = f"{method[:60]!r} is none of its methods; use {allowed}"
            raise RequestError(Error.METHOD_NOT_ALLOWED, [detail], headers={"Allow": allowed})
        return endpoint

    def _request_id(self, request: BaseRequest) -> str:
        """Return the client's request id if it is sane, else a new one."""
        given = request.headers.get("X-Request-ID")
        if given is not None and _SANE_REQUEST_ID.fullmatch(given):
            return given
        return f"{self._prefix}-{next(self._numbers):x}"


def _with_usual(methods: Mapping[str, Endpoint]) -> dict[str, Endpoint]:
    """Return a path's methods with HEAD, which is GET without the body, and OPTIONS."""
    every = dict(methods)
    if "GET" in every:
        every["HEAD"] = every["GET"]
    every["OPTIONS"] = _options({*every, "OPTIONS"})
    return every


def _options(methods: Iterable[str]) -> Endpoint:
    allowed = _allow(methods)

    async def options(_: BaseRequest, request_id: str) -> web.StreamResponse:
        return options_response(allowed, request_id)

    return options


def _allow(methods: Iterable[str]) -> str:
    return ", ".join(sorted(methods))


def _failure(error: Exception, request_id: str) -> RequestError:
    """Return what is answered instead of what went wrong."""
    if isinstance(error, RequestError):
        failure = error
    elif isinstance(error, DATABASE_ERRORS):
        telemetry.DATABASE_FAILURES.labels(type(error).__name__).inc()
        reason = f"{type(error).__name__}: {error}"[:300]
        log.warning("the database failed", extra={"requestId": request_id, "reason": reason})
        failure = RequestError(Error.DATABASE_AWAY, retry_after_s=1)
    else:
        log.error("a request failed by a bug", exc_info=error, extra={"requestId": request_id})
        failure = RequestError(Error.INTERNAL)
    failure.forget_frames()
    return failure


def report(
    method: str,
    path: str,
    request_id: str,
    status: int,
    failure: RequestError | None,
    duration_s: float,
) -> None:
    """Count and log one answered request: nothing that its client made up, but its request id."""
    method = _known(method)
    telemetry.REQUESTS.count(method, status, duration_s)
    if failure is None and not log.isEnabledFor(logging.DEBUG):
        return
    fields: dict[str, Any] = {
        "requestId": request_id,
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round(duration_s * 1000, 3),
    }
    if failure is None:
        log.debug("answered", extra=fields)
    else:
        fields |= {"code": failure.failure.code, "details": failure.logged[:3]}
        log.info("refused", extra=fields)


def _known(method: str) -> str:
    """Return the method as a label: clients may invent any number of them."""
    return method if method in _METHODS else "other"
