"""Clients that dawdle, and more of them than there may be."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from uuid import uuid4

import pytest

from deploy.local.ports import LOOPBACK
from deploy.local.process import wait_for
from tests.api.wire import Wire, patch, request
from tests.harness.client import Client
from tests.harness.services import Gateway, Site

GET = f"GET /v2/lm/metrics?executionIds={uuid4()} HTTP/1.1"
KEPT_ALIVE = request(GET).replace(b"Connection: close\r\n", b"")
UPDATE = {"executionId": "a-run", "metrics": [{"name": "loss", "value": 1, "step": 1}]}
DEADLINE_S = 20
IDLE_CONNECTIONS = 2000


@pytest.fixture
def impatient(site: Site) -> Gateway:
    gateway = site.gateway(INGEST_HEADER_TIMEOUT_S="0.5", INGEST_STALL_TIMEOUT_S="1")
    gateway.start()
    return gateway


@pytest.fixture
def open_files() -> Iterator[None]:
    """Room for the test's own side of many connections."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def cut(gateway: Gateway, what: str) -> float:
    return gateway.metric("ingest_cut_connections_total", what=what)


@pytest.mark.parametrize("before", [b"", KEPT_ALIVE], ids=["fresh", "kept alive"])
def test_headers_that_come_byte_by_byte_are_cut_and_idle_connections_are_not(
    impatient: Gateway, before: bytes
) -> None:
    with Wire(impatient.port) as slow, Wire(impatient.port) as idle:
        for connection in (slow, idle):
            connection.send(before)
            if before:
                answer = connection.answer()
                assert answer is not None
                assert answer.status == 404
        sent = 0

        def is_cut_after_a_byte() -> bool:
            nonlocal sent
            slow.send(KEPT_ALIVE[sent : sent + 1])
            sent = min(sent + 1, len(KEPT_ALIVE) - 3)
            return cut(impatient, "headers") == 1

        assert wait_for(is_cut_after_a_byte, DEADLINE_S)
        assert slow.answer() is None
        idle.send(request(GET))
        answer = idle.answer()
        assert answer is not None
        assert answer.status == 404


def test_a_body_may_take_longer_than_headers(impatient: Gateway) -> None:
    body = b'{"executionId": "slow-body"}'
    with Wire(impatient.port) as slow, Wire(impatient.port) as slower:
        slow.send(patch(b"Content-Length: %d\r\n" % len(body)) + body[:1])
        slower.send(b"GET")
        assert wait_for(lambda: cut(impatient, "headers") == 1, DEADLINE_S)
        slow.send(body[1:])
        answer = slow.answer()
        assert answer is not None
        assert answer.status == 204


def test_endless_headers_are_400_before_they_fill_the_memory(site: Site) -> None:
    gateway = site.gateway()
    gateway.start()
    with Wire(gateway.port) as endless:
        endless.send(GET.encode() + b"\r\n")
        for number in range(13):  # each of them, and their number, would be fine
            endless.send(b"X-%d: %b\r\n" % (number, b"x" * 8000))
        answer = endless.answer()
        assert answer is not None
        assert (answer.status, answer.error["code"]) == (400, "02011006")
        assert "headers are larger" in answer.details
        assert endless.answer() is None
    assert wait_for(lambda: gateway.metric("ingest_connections") == 0, DEADLINE_S)


def test_a_client_that_takes_none_of_its_answers_is_cut(impatient: Gateway) -> None:
    with socket.create_connection((LOOPBACK, impatient.port)) as deaf:
        deaf.settimeout(0)
        unknown = KEPT_ALIVE.replace(b"/v2/lm/metrics", b"/nothing") * 100

        def is_cut() -> bool:
            with suppress(OSError):  # its buffers are full, or it is cut
                deaf.send(unknown)
            return cut(impatient, "stalled") == 1

        assert wait_for(is_cut, DEADLINE_S)
    assert wait_for(lambda: impatient.metric("ingest_connections") == 0, DEADLINE_S)


def test_one_connection_too_many_is_503_and_the_others_go_on(site: Site) -> None:
    gateway = site.gateway(INGEST_MAX_CONNECTIONS="20")
    gateway.start()
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(gateway.port)) for _ in range(20)]
        assert wait_for(lambda: gateway.metric("ingest_connections") == 20, DEADLINE_S)
        for _ in range(400):  # more than may linger
            socket.create_connection((LOOPBACK, gateway.port)).close()
        with Wire(gateway.port) as refused:
            refused.send(patch(b"Content-Length: 5\r\n") + b"hello")
            answer = refused.answer()
        assert answer is not None
        assert (answer.status, answer.error["code"]) == (503, "02011032")
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Connection"] == "close"
        wires[0].send(request(GET))
        served = wires[0].answer()
        assert served is not None
        assert served.status == 404
    assert gateway.metric("ingest_refused_connections_total") == 401
    assert wait_for(lambda: gateway.metric("ingest_connections") == 0, DEADLINE_S)
    with Wire(gateway.port) as again:
        again.send(request(GET))
        answer = again.answer()
        assert answer is not None
        assert answer.status == 404


def test_a_gateway_raises_its_limit_of_open_files_or_takes_fewer_connections(site: Site) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gateway = site.gateway(INGEST_MAX_CONNECTIONS=str(hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        gateway.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (warning,) = [line for line in gateway.logs() if "open files" in line["message"]]
    assert warning["open_files"] == hard
    assert 0 < warning["max_connections"] < hard


@pytest.mark.usefixtures("open_files")
async def test_thousands_of_idle_connections_disturb_nobody(site: Site) -> None:
    gateway = site.gateway()
    await asyncio.to_thread(gateway.start)
    writers = []
    async with asyncio.timeout(60), Client(gateway.url) as client:
        try:
            for _ in range(IDLE_CONNECTIONS):
                _, writer = await asyncio.open_connection(LOOPBACK, gateway.port)
                writers.append(writer)
            for _ in range(20):
                await client.accepted(UPDATE)
            assert gateway.metric("ingest_connections") > IDLE_CONNECTIONS
        finally:
            for writer in writers:
                writer.transport.abort()
