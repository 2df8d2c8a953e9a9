"""Many large updates at once, as raw requests: what is sent and when is the test's own."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from deploy.local.ports import LOOPBACK
from tests.api.wire import PATH

_PIECE_BYTES = 256 * 1024
_EXCHANGE_TIMEOUT_S = 90


class Framing(Enum):
    """How a body is put on the wire."""

    LENGTH = "Content-Length: {length}"
    CHUNKED = "Transfer-Encoding: chunked"
    GZIP = "Content-Length: {length}\r\nContent-Encoding: gzip"
    EXPECT = "Content-Length: {length}\r\nExpect: 100-continue"


@dataclass(slots=True)
class Storm:
    """How the requests of a storm ended."""

    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0


def full_update(execution_id: str, metrics: int = 1000) -> bytes:
    """Return an update with so many metrics of 20 full labels: 16 MB with 1000 of them."""
    labels = [{"name": f"{n:02}" + "é" * 254, "value": "v" * 256} for n in range(20)]
    template = {"name": "m" * 256, "value": 0.5, "timestamp": "2026-01-01T00:00:00Z"}
    return json.dumps(
        {
            "executionId": execution_id,
            "metrics": [template | {"step": n, "labels": labels} for n in range(metrics)],
        },
        ensure_ascii=False,
    ).encode()


async def rage(
    port: int, bodies: Iterable[tuple[str, bytes]], framings: Iterable[Framing]
) -> Storm:
    """Send one update for each (resource group, body), all at the same time."""
    storm = Storm()
    async with asyncio.TaskGroup() as tasks:
        for (group, body), framing in zip(bodies, framings, strict=True):
            tasks.create_task(_send(storm, port, group, body, framing))
    return storm


async def _send(storm: Storm, port: int, group: str, body: bytes, framing: Framing) -> None:
    try:
        async with asyncio.timeout(_EXCHANGE_TIMEOUT_S):
            head = await _exchange(port, group, body, framing)
    except (ConnectionError, asyncio.IncompleteReadError):
        storm.unanswered += 1
        return
    status = int(head.split(maxsplit=2)[1])
    storm.statuses[status] += 1
    if b"\r\nretry-after: " not in head.lower():
        storm.without_retry_after[status] += 1


async def _exchange(port: int, group: str, body: bytes, framing: Framing) -> bytes:
    """Send one update; return the head of its answer, which may come before all is sent."""
    if framing is Framing.GZIP:
        body = gzip.compress(body, compresslevel=1)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(
            f"PATCH {PATH} HTTP/1.1\r\nHost: {LOOPBACK}\r\nAI-Resource-Group: {group}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"{framing.value.format(length=len(body))}\r\n\r\n".encode()
        )
        if framing is Framing.EXPECT:
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 100 " not in head.splitlines()[0]:
                return head
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        sending = asyncio.create_task(_send_body(writer, body, framing))
        try:
            return await answer
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    finally:
        writer.transport.abort()


async def _send_body(writer: asyncio.StreamWriter, body: bytes, framing: Framing) -> None:
    for start in range(0, len(body), _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if framing is Framing.CHUNKED else piece)
        await writer.drain()
    if framing is Framing.CHUNKED:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
