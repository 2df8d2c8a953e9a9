"""PATCH: how large a body may be, how long it may take, and what a client may expect."""

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import AsyncIterator

import pytest

from tests.api import wire
from tests.api.wire import raw_deflate
from tests.harness.client import Client
from tests.harness.services import Gateway

LIMIT = 10_000  # of the fixture `strict`
JSON_TYPE = {"AI-Resource-Group": "default", "Content-Type": "application/json"}


def padded(execution_id: str, size: int) -> bytes:
    """Make a valid body of exactly this many bytes."""
    return json.dumps({"executionId": execution_id}).encode().ljust(size)


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.fixture
async def strict_client(strict: Gateway) -> AsyncIterator[Client]:
    async with Client(strict.url) as client:
        yield client


async def test_a_body_as_large_as_the_limit_is_accepted(
    strict_client: Client, execution_id: str
) -> None:
    body = padded(execution_id, LIMIT)
    assert (await strict_client.patch(body)).status == 204
    packed = await strict_client.patch(gzip.compress(body), **{"Content-Encoding": "gzip"})
    assert packed.status == 204
    chunked = await strict_client.request("PATCH", data=pieces(body), headers=JSON_TYPE)
    assert chunked.status == 204


async def test_a_body_over_the_limit_is_refused_however_it_is_sent(
    strict_client: Client, execution_id: str
) -> None:
    body = padded(execution_id, LIMIT + 1)
    plain = await strict_client.patch(body)
    chunked = await strict_client.request("PATCH", data=pieces(body), headers=JSON_TYPE)
    packed = await strict_client.patch(gzip.compress(body), **{"Content-Encoding": "gzip"})
    deflated = await strict_client.patch(raw_deflate(body), **{"Content-Encoding": "deflate"})
    for answer in (plain, chunked, packed, deflated):
        assert (answer.status, answer.error["code"]) == (413, "02000005")
        assert answer.error["message"] == "PayloadLimitException"
        assert str(LIMIT) in answer.details
    assert (await strict_client.query(executionIds=execution_id)).status == 404


async def test_a_body_over_the_default_limit_is_refused(client: Client, execution_id: str) -> None:
    body = padded(execution_id, 21 * 1024 * 1024)
    plain = await client.request("PATCH", data=io.BytesIO(body), headers=JSON_TYPE)
    assert (plain.status, plain.error["code"]) == (413, "02000005")
    packed = gzip.compress(body, compresslevel=1)
    assert (await client.patch(packed, **{"Content-Encoding": "gzip"})).status == 413
    assert (await client.query(executionIds=execution_id)).status == 404


async def test_a_gzip_bomb_is_refused_before_it_is_unpacked(
    client: Client, gateway: Gateway
) -> None:
    layer = zlib.compressobj(wbits=31)
    megabyte = bytes(1024 * 1024)
    bomb = b"".join(layer.compress(megabyte) for _ in range(300)) + layer.flush()
    before = gateway.metric("process_resident_memory_bytes")
    answer = await client.patch(bomb, **{"Content-Encoding": "gzip"})
    assert (answer.status, answer.error["code"]) == (413, "02000005")
    assert gateway.metric("process_resident_memory_bytes") - before < 100 * 1024 * 1024


async def test_a_body_that_is_not_sent_in_time_is_refused(
    strict_client: Client, strict: Gateway, execution_id: str
) -> None:
    sent = wire.patch(b"Content-Length: 100\r\n", b'{"executionId":')
    answer = await asyncio.to_thread(wire.exchange, strict.port, sent)
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (408, "02011013")
    await strict_client.accepted({"executionId": execution_id})


def test_a_client_that_expects_100_continue_gets_it_before_it_sends_the_body(
    gateway: Gateway,
) -> None:
    body = b'{"executionId": "expected"}'
    with wire.Wire(gateway.port) as connection:
        length = b"Content-Length: %d\r\n" % len(body)
        connection.send(wire.patch(length + b"Expect: 100-continue\r\n"))
        interim = connection.answer()
        assert interim is not None
        assert interim.status == 100
        connection.send(body)
        answer = connection.answer()
    assert answer is not None
    assert answer.status == 204


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 30000000\r\n", 413),
        (b"Content-Length: 10\r\nContent-Encoding: br\r\n", 415),
    ],
)
def test_a_refusal_needs_no_100_continue(gateway: Gateway, headers: bytes, status: int) -> None:
    sent = wire.patch(headers + b"Expect: 100-continue\r\n")
    answer = wire.exchange(gateway.port, sent)
    assert answer is not None
    assert answer.status == status
    assert answer.error


@pytest.mark.parametrize("body", [b'{"executionId": "unexpected"}', b""], ids=["sent", "held back"])
def test_any_other_expectation_is_refused_whether_the_body_was_sent_or_not(
    gateway: Gateway, body: bytes
) -> None:
    headers = b"Content-Length: 29\r\nExpect: a-miracle\r\n"
    answer = wire.exchange(gateway.port, wire.patch(headers, body))
    assert answer is not None
    assert answer.status == 417
    assert answer.error["code"] == "02011015"
