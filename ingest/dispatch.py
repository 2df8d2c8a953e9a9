"""From a request to its endpoint, and from whatever happens there to an answer.

aiohttp's low-level server is used without its router and middlewares: there are two paths, and
they cost more than everything else that is done for a small update.
"""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest import telemetry
from ingest.errors import Error, RequestError
from ingest.responses import common_headers, error_response
from ingest.runtime.database import DATABASE_ERRORS

log = logging.getLogger(__name__)

Endpoint = Callable[[BaseRequest, str], Awaitable[web.StreamResponse]]
METRICS_PATH = "/v2/lm/metrics"
OPENAPI_PATH = "/openapi.json"
# What the logs say of any other.
UNKNOWN_PATH = "(unknown)"

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:/+=@-]{1,128}")
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Dispatcher:
    """Answer every request: the server's handler. A bug ends one request only."""

    def __init__(self, routes: Mapping[str, Mapping[str, Endpoint]]) -> None:
        """Take the endpoints by path and method."""
        self._routes = routes
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    async def __call__(self, request: BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        started = time.perf_counter()
        request_id = self._request_id(request)
        try:
            response, failure = await self._answer(request, request_id)
        except ConnectionError:  # the client went away: aiohttp closes the connection
            telemetry.REQUESTS.labels(_known(request.method), "aborted").inc()
            raise
        if not response.prepared:
            response.headers.update(common_headers(request_id))
        path = request.path if request.path in self._routes else UNKNOWN_PATH
        seconds = time.perf_counter() - started
        report(request.method, path, request_id, response.status, failure, seconds)
        return response

    async def _answer(
        self, request: BaseRequest, request_id: str
    ) -> tuple[web.StreamResponse, RequestError | None]:
        """Return the endpoint's response, or the one that says why there is none."""
        try:
            return await self._endpoint(request)(request, request_id), None
        except RequestError as error:
            failure = error
        except DATABASE_ERRORS as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            log.warning("the database failed", extra={"requestId": request_id, "reason": reason})
            failure = RequestError(Error.DATABASE_AWAY, retry_after_s=1)
        except ConnectionError:
            raise
        except Exception:
            log.exception("a request failed by a bug", extra={"requestId": request_id})
            failure = RequestError(Error.INTERNAL)
        failure.forget_frames()
        return error_response(failure, request_id), failure

    def _endpoint(self, request: BaseRequest) -> Endpoint:
        methods = self._routes.get(request.path)
        if methods is None:
            known = ", ".join(self._routes)
            raise RequestError(Error.PATH_UNKNOWN, [f"this service has {known}"])
        endpoint = methods.get(request.method)
        if endpoint is None:
            allowed = ", ".join(sorted(methods))
            raise RequestError(
                Error.METHOD_NOT_ALLOWED, [f"use {allowed}"], headers={"Allow": allowed}
            )
        return endpoint

    def _request_id(self, request: BaseRequest) -> str:
        """Return the client's request id if it is sane, else a new one."""
        given = request.headers.get("X-Request-ID")
        if given is not None and _SANE_REQUEST_ID.fullmatch(given):
            return given
        return f"{self._prefix}-{next(self._numbers):x}"


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
    requests, seconds = _counters(method, status)
    requests.inc()
    seconds.observe(duration_s)
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


_counter_cache: dict[tuple[str, int], tuple[Any, Any]] = {}


def _counters(method: str, status: int) -> tuple[Any, Any]:
    """Return the counter and the histogram of an answer: looking up labels is slow."""
    counters = _counter_cache.get((method, status))
    if counters is None:
        counters = (
            telemetry.REQUESTS.labels(method, str(status)),
            telemetry.REQUEST_SECONDS.labels(method),
        )
        _counter_cache[method, status] = counters
    return counters
