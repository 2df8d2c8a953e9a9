"""Read a request's body: bounded in bytes after decompression, and in time."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from aiohttp import HttpVersion11
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

from ingest.budget import RETRY_AFTER_S, Budget, Hold
from ingest.contract.violations import shown
from ingest.errors import Error, RequestError

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
ENCODINGS = ("identity", "gzip", "x-gzip", "deflate")
# Gzip data may have several members, one behind the other. Each costs a copy of the rest.
_MAX_GZIP_MEMBERS = 16
# Bodies that come with their headers, or soon after, are not counted: the server's read buffers
# hold as much for any connection.
_SMALL_BYTES = 64 * 1024
# What a compressed body is taken for until it is decompressed.
_USUAL_EXPANSION = 16
_RAW_DEFLATE = -zlib.MAX_WBITS  # what some clients send as "deflate"


class BodyReader:
    """Read bodies within the limits of the settings."""

    def __init__(self, max_bytes: int, receiving: Budget, timeout_s: float) -> None:
        """Set the limits; `receiving` is the budget of bytes of bodies that are on their way in."""
        self._max_bytes = max_bytes
        self._receiving = receiving
        self._timeout_s = timeout_s
        # Who has the group's lock waits for the other: so at most one body of a group does.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._turn = asyncio.Lock()

    def at_hand(self, request: BaseRequest) -> bytes | None:
        """Return the body if it came together with its headers and is not compressed.

        Raises:
            RequestError: PAYLOAD_LIMIT, EXPECTATION.
        """
        if not request.content.is_eof() or "Content-Encoding" in request.headers:
            return None
        _expects_continue(request)
        body: bytes = request.content.read_nowait()
        if len(body) > self._max_bytes:
            raise self._too_large(len(body))
        return body

    @asynccontextmanager
    async def received(self, request: BaseRequest, group: str) -> AsyncIterator[bytes]:
        """Receive the body, decompressed, for the block; until its end the group is charged.

        Large bodies have their blocks one after the other, with a turn of the event loop for all
        others between. Were hundreds of them parsed in one turn, confirms would be overdue.

        Raises:
            RequestError: MEDIA_TYPE for an unknown encoding, PAYLOAD_LIMIT, OVERLOADED,
                GROUP_LIMITED, BODY_TIMEOUT, EXPECTATION, HTTP_INVALID, ENCODING_INVALID if the
                body is not what Content-Encoding says.
            ConnectionError: the client went away.
        """
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ENCODINGS:
            raise RequestError(
                Error.MEDIA_TYPE,
                [f"(header Content-Encoding): is {shown(encoding)}; send gzip, deflate, or none"],
            )
        if (request.content_length or 0) > self._max_bytes:
            raise self._too_large(request.content_length)
        # A large body is admitted or refused as a whole and early: were all let in, none of them
        # would get through.
        with Hold(self._receiving, group, _SMALL_BYTES) as hold:
            body = await self._receive(request, hold)
            if encoding == "identity" and len(body) <= _SMALL_BYTES:
                yield body
                return
            if encoding != "identity":
                expected = max(_SMALL_BYTES + 1, _USUAL_EXPANSION * len(body))
                hold.count(min(self._max_bytes, expected))
            async with self._turn_of(group):
                if encoding != "identity":
                    body = self._decompress(body, encoding)
                    hold.count(len(body))
                yield body

    @asynccontextmanager
    async def _turn_of(self, group: str) -> AsyncIterator[None]:
        """Wait for a turn: groups in turn, and the bodies of a group one after the other.

        Raises:
            RequestError: OVERLOADED, if that takes as long as a body may.
        """
        of_group = self._turns.setdefault(group, asyncio.Lock())
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await stack.enter_async_context(of_group)
                    await stack.enter_async_context(self._turn)
            except TimeoutError as error:
                detail = "other large bodies come first"
                raise RequestError(
                    Error.OVERLOADED, [detail], retry_after_s=RETRY_AFTER_S
                ) from error
            try:
                yield
            finally:
                await asyncio.sleep(0)

    async def _receive(self, request: BaseRequest, hold: Hold) -> bytes:
        chunks = []
        size = 0
        hold.count(request.content_length or 0)
        try:
            async with asyncio.timeout(self._timeout_s):
                if _expects_continue(request):
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request.writer.output_size = 0  # the answer itself has not begun
                while chunk := await request.content.readany():
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise self._too_large()
                    if size > max(hold.counted, _SMALL_BYTES):  # of unknown length
                        hold.count(min(self._max_bytes, 2 * size))
        except RequestPayloadError as error:  # a chunk that is none: nothing can follow it
            request.protocol.close()  # after the answer
            raise RequestError(Error.HTTP_INVALID, [f"(body): {error}"[:300]]) from error
        except TimeoutError as error:
            of = request.content_length
            came = f"{size} bytes{'' if of is None else f' of {of}'} came"
            detail = f"(body): {came} within {self._timeout_s:g} seconds; send all of it by then"
            raise RequestError(Error.BODY_TIMEOUT, [detail]) from error
        return b"".join(chunks)

    def _decompress(self, body: bytes, encoding: str) -> bytes:
        wbits = _GZIP
        if encoding == "deflate":
            wbits = _ZLIB if _has_zlib_header(body) else _RAW_DEFLATE
        parts = []
        left = self._max_bytes + 1
        for _ in range(_MAX_GZIP_MEMBERS):
            decompressor = zlib.decompressobj(wbits)
            try:
                parts.append(decompressor.decompress(body, left))
            except zlib.error as error:
                reason = f"is not {encoding}, as Content-Encoding says: {error}"
                raise _misencoded(reason) from error
            left -= len(parts[-1])
            if left <= 0:
                raise self._too_large()
            if not decompressor.eof:
                raise _misencoded(f"ends in the middle of the {encoding} data")
            body = decompressor.unused_data
            if not body:
                return b"".join(parts)
            if wbits != _GZIP:  # the others have no members
                raise _misencoded(f"goes on for {len(body)} bytes behind the deflate data")
        raise _misencoded(f"has more than {_MAX_GZIP_MEMBERS} gzip members; send one")

    def _too_large(self, length: int | None = None) -> RequestError:
        """Make the error; the length is not known of what was not read to its end."""
        limit = f"at most {self._max_bytes} are allowed; send the metrics in parts"
        size = (
            f"is longer than {self._max_bytes} bytes"
            if length is None
            else f"is {length} bytes long"
        )
        return RequestError(Error.PAYLOAD_LIMIT, [f"(body): {size}, {limit}"])


def _misencoded(reason: str) -> RequestError:
    return RequestError(Error.ENCODING_INVALID, [f"(body): {reason}"])


def is_small(request: BaseRequest) -> bool:
    """Tell whether the body, as it is sent, is small enough not to be counted."""
    length = request.content_length
    return length is not None and length <= _SMALL_BYTES


def _expects_continue(request: BaseRequest) -> bool:
    """Tell whether a client wants to be told to send the body, as curl does with large ones.

    HTTP/1.0 knows nothing of it (RFC 9110, section 10.1.1).
    """
    if request.version < HttpVersion11:
        return False
    expectation = request.headers.get("Expect")
    if expectation is not None and expectation.lower() != "100-continue":
        detail = f"(header Expect): is {shown(expectation)}; send 100-continue, or none"
        raise RequestError(Error.EXPECTATION, [detail])
    return expectation is not None


def _has_zlib_header(body: bytes) -> bool:
    """Tell a zlib header (RFC 1950) from a raw deflate stream."""
    deflate_method = 8
    return (
        len(body) > 1
        and body[0] & 0x0F == deflate_method
        and int.from_bytes(body[:2], "big") % 31 == 0
    )
