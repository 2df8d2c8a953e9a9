"""Compressed answers, for clients that accept gzip; small ones are not worth it.

An answer to a PATCH has no body, so nothing of this is on its way.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator

from aiohttp.web_request import BaseRequest

# Less fits into a packet anyway.
SMALL_BYTES = 1024
# Of all levels the fastest on JSON of points: 64 KiB in a millisecond become 9 KiB. Level 6 takes
# thrice the time for a tenth less.
_LEVEL = 2
_GZIP = 16 + zlib.MAX_WBITS
# What is compressed in one go, in a millisecond: then others have their turn. A piece of points
# with many labels has megabytes.
_SLICE_BYTES = 64 * 1024

# Every answer that could be compressed says so: caches must not mix them up.
VARY = {"Vary": "Accept-Encoding"}
ENCODED = {"Content-Encoding": "gzip"}


def accepts_gzip(request: BaseRequest) -> bool:
    """Tell whether a client accepts gzip (RFC 9110, section 12.5.3)."""
    weights: dict[str, bool] = {}
    for listed in ",".join(request.headers.getall("Accept-Encoding", [])).lower().split(","):
        coding, *parameters = (part.strip() for part in listed.split(";"))
        weights[coding] = not any(_is_zero_weight(one) for one in parameters)
    for name in ("gzip", "x-gzip", "*"):
        if name in weights:
            return weights[name]
    return False


def _is_zero_weight(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and not value.strip().strip("0.")


def compressed(body: bytes) -> bytes:
    """Return a body as gzip."""
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
    return compressor.compress(body) + compressor.flush()


async def compressed_pieces(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces of a body as those of one gzip stream; none of them is empty."""
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
    async for piece in pieces:
        for start in range(0, len(piece), _SLICE_BYTES):
            if start:
                await asyncio.sleep(0)
            if part := compressor.compress(memoryview(piece)[start : start + _SLICE_BYTES]):
                yield part
    yield compressor.flush()
