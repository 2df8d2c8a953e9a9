"""What becomes of a connection that is one too many: an answer, and a moment to read it."""

import asyncio
import secrets
from http import HTTPStatus

from ingest.budget import RETRY_AFTER_S
from ingest.errors import Error, RequestError
from ingest.responses import common_headers

# How long it may linger until the client has read why.
_LINGER_S = 1.0


class Refusal(asyncio.Protocol):
    """A refused connection. It lingers until the client closes it, or for a moment.

    Closed at once, with the request unread, TCP would reset it, and the client might never see
    the answer.
    """

    def __init__(self, lingering: set["Refusal"], transport: asyncio.Transport) -> None:
        self._lingering = lingering
        lingering.add(self)
        transport.write_eof()
        loop = asyncio.get_running_loop()
        self._end = loop.call_later(_LINGER_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        del exc
        self._end.cancel()
        self._lingering.discard(self)


def refusal(max_connections: int) -> bytes:
    """Return the whole answer to a connection that is one too many."""
    detail = f"the gateway has as many connections as it may have, {max_connections}"
    error = RequestError(Error.OVERLOADED, [detail], retry_after_s=RETRY_AFTER_S)
    request_id = secrets.token_hex(8)
    body = error.body(request_id)
    status = HTTPStatus(error.failure.status)
    headers = {
        **error.headers,
        **common_headers(request_id),
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
