"""Bodies that come in odd ways must harm nobody else."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.web_request import BaseRequest

from deploy.local.ports import LOOPBACK
from deploy.local.process import wait_for
from ingest.body import BodyReader
from ingest.budget import Budget
from ingest.connections import ConnectionLimits, GatewayServer
from tests.api.wire import Wire, patch, request
from tests.harness.services import Gateway, Site

CHUNKED = b"Transfer-Encoding: chunked\r\n"
GET = f"GET /v2/lm/metrics?executionIds={uuid4()} HTTP/1.1"
DRAIN_TIMEOUT_S = 8
KEPT_ALIVE = request(GET).replace(b"Connection: close\r\n", b"")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("wrong", [b"zz\r\n", b"1\r\nab\r\n"], ids=["no size", "too long"])
@pytest.mark.parametrize("first", [b"", chunk(b" " * 100)], ids=["first", "later"])
def test_a_chunk_that_is_none_is_400_at_once_also_when_it_comes_later(
    gateway: Gateway, first: bytes, wrong: bytes
) -> None:
    with Wire(gateway.port) as wire:  # which waits 5 s, a sixth of what a body may take
        wire.send(patch(CHUNKED))
        wire.send(first)
        assert wait_for(gateway.is_ready, 5)  # a round trip, so that they come apart
        wire.send(wrong)
        answer = wire.answer()
        assert answer is not None
        assert (answer.status, answer.error["code"]) == (400, "02011006")
        assert wire.answer() is None  # one answer, and the end


def test_bodies_of_unknown_length_are_charged_by_what_has_come(gateway: Gateway) -> None:
    body = json.dumps({"executionId": "a-run", "createdAt": " " * 100_000}).encode()
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(gateway.port)) for _ in range(6)]
        for wire in wires:
            wire.send(patch(CHUNKED, chunk(body[:90_000])))
        assert wait_for(lambda: gateway.metric("ingest_receiving_bytes") >= 6 * 90_000, 5)
        for wire in wires:
            wire.send(chunk(body[90_000:]) + b"0\r\n\r\n")
        answers = [wire.answer() for wire in wires]
        assert [answer and answer.status for answer in answers] == [204] * 6


@pytest.mark.parametrize("header", [b"AI-Resource-Group: !\r\n", b""], ids=["improper", "none"])
@pytest.mark.parametrize("length", [b"Content-Length: 100000\r\n", CHUNKED], ids=["large", "?"])
def test_a_large_body_of_no_group_is_refused_before_it_is_read(
    gateway: Gateway, header: bytes, length: bytes
) -> None:
    with Wire(gateway.port) as wire:
        wire.send(patch(length).replace(b"AI-Resource-Group: wire\r\n", header))
        answer = wire.answer()
        assert answer is not None
        assert (answer.status, answer.error["code"]) == (400, "02011004")


async def test_large_bodies_take_turns_by_group() -> None:
    reader = BodyReader(1 << 20, Budget("bytes", 1 << 30, 1 << 30), 10)
    order: list[str] = []
    begun = asyncio.Event()

    async def take(group: str) -> None:
        async with reader._turn_of(group):  # noqa: SLF001 - what is around it is tested above
            order.append(group)
            await begun.wait()

    async with asyncio.TaskGroup() as tasks:
        for group in ("greedy", "greedy", "greedy", "greedy", "modest"):
            tasks.create_task(take(group))
            await asyncio.sleep(0)
        begun.set()
    assert order.index("modest") <= 2


def test_a_declined_upgrade_leaves_the_connection_usable(gateway: Gateway) -> None:
    headers = b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    upgrade = KEPT_ALIVE.replace(b"\r\n\r\n", headers)
    with Wire(gateway.port) as wire:
        wire.send(upgrade + KEPT_ALIVE)
        for _ in range(2):
            assert (answer := wire.answer()) is not None
            assert answer.status == 404
        wire.send(KEPT_ALIVE[:20])
        assert wait_for(gateway.is_ready, 5)
        wire.send(KEPT_ALIVE[20:])
        assert (answer := wire.answer()) is not None
        assert answer.status == 404


@pytest.fixture
def reading(site: Site) -> Iterator[tuple[Gateway, Wire]]:
    """A gateway with a connection whose client takes nothing of a large answer."""
    gateway, worker = site.gateway(INGEST_DRAIN_TIMEOUT_S=f"{DRAIN_TIMEOUT_S}"), site.worker()
    gateway.start()
    worker.start()
    metrics = [{"name": "n" * 250, "value": n, "step": n} for n in range(1000)]
    body = json.dumps({"executionId": "a-run", "metrics": metrics}).encode()
    for _ in range(70):
        with Wire(gateway.port) as wire:
            wire.send(patch(b"Content-Length: %d\r\n" % len(body), body))
            assert (answer := wire.answer()) is not None
            assert answer.status == 204
    with Wire(gateway.port) as wire:
        wire.send(request("GET /v2/lm/metrics?executionIds=a-run HTTP/1.1"))
        assert wait_for(lambda: gateway.metric("ingest_reads") >= 1, 10)
        yield gateway, wire


@pytest.mark.parametrize("junk", [b"x" * 100_000, b"x: y\r\n" * 20_000], ids=["line", "headers"])
async def test_what_comes_after_refused_headers_is_not_kept(junk: bytes) -> None:
    asked, answering = asyncio.Event(), asyncio.Event()

    async def answer(_: BaseRequest) -> web.Response:
        asked.set()
        await answering.wait()
        return web.Response()

    endpoint: Any = answer
    server = GatewayServer(endpoint, ConnectionLimits(10, 60, 60), access_log=None)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    _, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(KEPT_ALIVE)
    await asked.wait()
    writer.write(junk)
    for _ in range(2000):
        writer.write(b"x")
        await asyncio.sleep(0)  # so that the server reads it
    (connection,) = server._open  # noqa: SLF001 - what it keeps is seen nowhere else
    assert len(connection._messages) <= 1  # noqa: SLF001
    answering.set()
    writer.close()
    await runner.cleanup()


def test_a_drain_ends_in_its_time_though_a_client_takes_nothing(
    reading: tuple[Gateway, Wire],
) -> None:
    gateway, _ = reading
    gateway.terminate()
    assert wait_for(lambda: not gateway.process.is_alive(), DRAIN_TIMEOUT_S + 5)
