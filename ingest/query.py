"""GET and HEAD: find resources and stream them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest.answer import encode_answer, matching_resources
from ingest.compression import ENCODED, VARY, accepts_gzip, compressed_pieces
from ingest.contract.message import resource_key
from ingest.contract.parse import check_resource_group
from ingest.errors import Error, RequestError
from ingest.query_parameters import parse_query
from ingest.read import Reader
from ingest.responses import json_response, stream_response

# Answers up to this size are sent in one piece, with their length; larger ones are streamed in
# pieces of about this size.
PIECE_BYTES = 64 * 1024
# An answer that takes longer is broken off: it holds what was read for it. The database keeps a
# snapshot no longer, anyway (see store.py).
ANSWER_TIMEOUT_S = 300.0


class QueryEndpoint:
    """Answer GET and HEAD."""

    def __init__(self, reader: Reader, first_piece_timeout_s: float) -> None:
        self._reader = reader
        self._first_piece_timeout_s = first_piece_timeout_s

    async def __call__(self, request: BaseRequest, request_id: str) -> web.StreamResponse:
        """Answer one request."""
        resource_group = required_resource_group(request)
        query = parse_query(request.query)
        if query.execution_ids:
            keys = [resource_key(resource_group, one) for one in query.execution_ids]
            opened = self._reader.of_resources(resource_group, keys)
        else:
            opened = self._reader.of_group(resource_group)
        async with AsyncExitStack() as stack:
            try:
                # What the driver does about a silent database takes far longer.
                async with asyncio.timeout(self._first_piece_timeout_s):
                    snapshot = await stack.enter_async_context(opened)
                    resources = await matching_resources(snapshot, resource_group, query)
                    if resources is None:
                        raise RequestError(Error.NOT_FOUND)
                    pieces = _joined(encode_answer(snapshot, resources, query.sections))
                    first = await anext(pieces)
            except TimeoutError as error:
                detail = f"nothing was found within {self._first_piece_timeout_s:g} seconds"
                raise RequestError(Error.DATABASE_AWAY, [detail], retry_after_s=1) from error
            return await _send(request, request_id, first, pieces)


def required_resource_group(request: BaseRequest) -> str:
    """Return the request's resource group.

    Raises:
        RequestError: HEADER_INVALID.
    """
    value = request.headers.get("AI-Resource-Group")
    violation = check_resource_group(value)
    if violation is not None:
        raise RequestError(Error.HEADER_INVALID, [str(violation)])
    return str(value)


async def _send(
    request: BaseRequest, request_id: str, first: bytes, pieces: AsyncIterator[bytes]
) -> web.StreamResponse:
    second = await anext(pieces, None)
    if second is None:
        return json_response(first, request, request_id)
    compresses = accepts_gzip(request)
    response = stream_response(request, request_id, VARY | (ENCODED if compresses else {}))
    await response.prepare(request)
    if request.method == "HEAD":  # nobody reads the rest
        return response
    rest = _chained(first, second, pieces)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            async for piece in compressed_pieces(rest) if compresses else rest:
                await response.write(piece)
            await response.write_eof()
    except BaseException as error:
        # The status is sent and cannot be taken back: cut the connection, so that nobody
        # takes half an answer for a whole one.
        if request.transport is not None:
            request.transport.abort()
        if isinstance(error, TimeoutError):
            raise ConnectionAbortedError("the client takes too long for the answer") from error
        raise
    return response


async def _chained(
    first: bytes, second: bytes, others: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    yield first
    yield second
    async for piece in others:
        yield piece


async def _joined(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join pieces to a size that is worth sending; yields at least one."""
    waiting: list[bytes] = []
    size = 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
