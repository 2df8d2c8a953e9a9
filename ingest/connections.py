"""Connections: how many there may be, and how long one may keep us waiting.

aiohttp closes a connection that is idle. What it lacks is here: a limit on their number, a
deadline and a size limit for a request's headers, an end for a client that takes nothing of its
answer, and answers in our shape to what is not even HTTP.
"""

import asyncio
import logging
import re
import resource
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo
from aiohttp.web_request import BaseRequest

from ingest import telemetry
from ingest.dispatch import UNKNOWN_PATH, Dispatch, report
from ingest.errors import Error, RequestError
from ingest.refusal import Refusal, refusal
from ingest.responses import error_response

log = logging.getLogger(__name__)

# All headers of one request: the longest line, and as much again for the others.
_MAX_HEADER_BYTES = 96 * 1024
# Connections that the kernel accepts for us while the event loop is busy.
BACKLOG = 1024
# Refused connections that may linger until the client has read why.
_MAX_REFUSALS = 256
# Open files beside the clients' connections: refused ones, those to broker and database, the
# operations port, and a full backlog that is accepted before it can be refused.
_OTHER_FILES = BACKLOG + _MAX_REFUSALS + 768
_LONGEST_CHECK_PAUSE_S = 1.0
_TURNS_TO_ACCEPT = 3
# In aiohttp's messages, what was sent follows on one of these.
_SENT = re.compile(r"[:'\"\n]")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """See the settings of the same names."""

    max_connections: int
    header_timeout_s: float
    stall_timeout_s: float


def connections_within_open_files(wanted: int) -> int:
    """Raise the limit of open files as far as needed; return how many connections fit into it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    room = max(soft - _OTHER_FILES, soft // 2)
    log.warning(
        "the limit of open files is too low for INGEST_MAX_CONNECTIONS",
        extra={"open_files": soft, "needed": needed, "max_connections": room},
    )
    return room


class GatewayServer(web.Server):
    """aiohttp's server, with limits on its connections."""

    def __init__(
        self, dispatcher: Dispatch, limits: ConnectionLimits, **connection_settings: Any
    ) -> None:
        """Make a server; the settings of single connections are aiohttp's."""
        super().__init__(dispatcher, **connection_settings)
        self._limits = limits
        self._open: set[_Connection] = set()
        self._refusals: set[Refusal] = set()
        self._arrived = 0
        telemetry.CONNECTIONS.set_function(lambda: len(self._open))

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]  # becomes aiohttp's later
        """Make the protocol of a new connection, before it is known whether it may stay."""
        self._arrived += 1
        return _Arrival(self)

    @asynccontextmanager
    async def checked(self) -> AsyncIterator[None]:
        """Cut connections that keep us waiting, inside the block."""
        async with asyncio.TaskGroup() as tasks:
            checking = tasks.create_task(self._check())
            try:
                yield
            finally:
                checking.cancel()

    async def accept_waiting(self) -> None:
        """Accept what the kernel has connected for us: it would be reset when we stop listening.

        The event loop accepts a few in each turn, and we cannot see how many there are.
        """
        for _ in range(BACKLOG):
            arrived = self._arrived
            for _ in range(_TURNS_TO_ACCEPT):
                await asyncio.sleep(0)
            if self._arrived == arrived:
                return

    async def _check(self) -> None:
        limits = self._limits
        shortest_s = min(limits.header_timeout_s, limits.stall_timeout_s)
        pause_s = min(_LONGEST_CHECK_PAUSE_S, shortest_s / 4)
        while True:
            await asyncio.sleep(pause_s)
            now = self._loop.time()
            for connection in list(self._open):
                reason = connection.late(now, limits)
                if reason:
                    telemetry.CUT_CONNECTIONS.labels(reason).inc()
                    connection.cut()

    def admit(self, transport: asyncio.Transport) -> None:
        """Serve a new connection, or refuse it."""
        if len(self._open) < self._limits.max_connections:
            connection = _Connection(self, loop=self._loop, **self._kwargs)
            self._open.add(connection)
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return
        telemetry.REFUSED_CONNECTIONS.inc()
        transport.write(refusal(self._limits.max_connections))
        if len(self._refusals) < _MAX_REFUSALS:
            lingering = Refusal(self._refusals, transport)
            transport.set_protocol(lingering)
        else:
            transport.close()

    def closed(self, connection: "_Connection") -> None:
        """Count a connection no longer."""
        self._open.discard(connection)


class _Arrival(asyncio.Protocol):
    """A connection that was accepted, until it is admitted or refused."""

    def __init__(self, server: GatewayServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Decide what becomes of it."""
        self._server.admit(cast("asyncio.Transport", transport))


class _Connection(RequestHandler):
    """aiohttp's protocol. What it knows of headers and unsent bytes is for `late`."""

    __slots__ = (
        "_header_bytes",
        "_headers_since",
        "_payload",
        "_requests_seen",
        "_stalled_since",
        "_unsent_bytes",
        "_was_paused",
        "_wire",
    )

    def __init__(self, server: GatewayServer, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._wire: asyncio.Transport | None = None
        self._requests_seen = 0
        # The body of the latest request: while it is not there in whole, no headers come.
        self._payload: StreamReader = EMPTY_PAYLOAD
        # What has arrived, and since when, of headers that are not complete.
        self._header_bytes = 0
        self._headers_since = 0.0
        self._was_paused = False
        # What was not yet taken by the client when it was last looked at, and since when.
        self._unsent_bytes = 0
        self._stalled_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if isinstance(self._manager, GatewayServer):
            self._manager.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._close or self._force_close or self._is_broken():
            return  # what comes now has no meaning any longer, and must not be kept
        in_body = not self._payload.is_eof()
        super().data_received(data)
        if in_body and self._is_broken():
            self._messages.pop()
            self._break_body()
        elif self._request_count != self._requests_seen:
            self._note_request()
        elif data and not in_body:
            if not self._header_bytes:
                self._headers_since = self._loop.time()
            self._header_bytes += len(data)
            if self._header_bytes > _MAX_HEADER_BYTES:
                self._refuse_headers()

    def _is_broken(self) -> bool:
        """Tell whether the latest that came was not HTTP."""
        return bool(self._messages) and isinstance(self._messages[-1][0], _ErrInfo)

    def _note_request(self) -> None:
        """Begin to wait for the next headers: those of the latest request are complete."""
        self._requests_seen = self._request_count
        self._header_bytes = 0
        if self._messages:
            self._payload = self._messages[-1][1]
        else:  # aiohttp has taken it already, from behind a declined upgrade
            request = self._current_request
            self._payload = EMPTY_PAYLOAD if request is None else request.content

    def _break_body(self) -> None:
        """Have whoever reads the body learn that it is malformed; aiohttp would let them wait."""
        self._payload.set_exception(RequestPayloadError("malformed chunk"))
        self._lingering_time = 0.0  # there is no rest to wait for after the answer

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - as aiohttp's
        # aiohttp waits so long for the request, and once more after it was cancelled.
        await super().shutdown(None if timeout is None else timeout / 2)

    def pause_reading(self) -> None:
        self._was_paused = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002
        # Whoever reads a body calls it, and it has the parser look for the rest of what came: with
        # a small update that costs as much as checking it. There is a rest only if something was
        # paused once, or behind many requests that were sent without waiting for answers.
        if self._was_paused or self._messages:
            super().resume_reading(resume_parser)

    def resume_writing(self) -> None:
        self._unsent_bytes = 0
        super().resume_writing()

    def late(self, now: float, limits: ConnectionLimits) -> str:
        """Return what the client has kept us waiting for too long, if anything."""
        if self._request_count != self._requests_seen:
            self._note_request()
        idle = self._waiter is not None and not self._waiter.done()
        if idle and self._header_bytes and now - self._headers_since > limits.header_timeout_s:
            return "headers"
        unsent = 0 if self._wire is None else self._wire.get_write_buffer_size()
        if not unsent or not self._unsent_bytes or unsent < self._unsent_bytes:
            self._stalled_since = now
        self._unsent_bytes = unsent
        return "stalled" if unsent and now - self._stalled_since > limits.stall_timeout_s else ""

    def cut(self) -> None:
        """End the connection at once, whatever is unsent."""
        if self._wire is not None:
            self._wire.abort()

    def _refuse_headers(self) -> None:
        """Answer 400, after the requests before it, and take no more."""
        error = LineTooLong(b"all headers", _MAX_HEADER_BYTES)
        message = f"the headers are larger than {_MAX_HEADER_BYTES} bytes"
        self._messages.append((_ErrInfo(400, error, message), EMPTY_PAYLOAD))
        self._close = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp could not parse or what failed outside the dispatcher."""
        if self.transport is None or request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status == HTTPStatus.BAD_REQUEST:
            # Behind its own words aiohttp shows what was sent, which may be a token.
            why = _SENT.split(message or "", maxsplit=1)[0][:100] or "malformed request"
            error = RequestError(Error.HTTP_INVALID, [why], logged=[why])
        else:
            log.error("a request failed outside the dispatcher", exc_info=exc)
            error = RequestError(Error.INTERNAL)
        request_id = secrets.token_hex(8)
        response = error_response(error, request_id)
        report(request.method, UNKNOWN_PATH, request_id, response.status, error, 0.0)
        response.force_close()
        return response
