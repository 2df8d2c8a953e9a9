"""The backlog: what makes a batch, and when."""

import asyncio
from typing import Any, cast

import pytest
from aiormq.abc import AbstractChannel

import worker.backlog
from ingest.contract.compression import Compressor
from worker.backlog import Backlog, BatchLimits, Delivery

LIMITS = BatchLimits(max_batch_messages=4, max_batch_bytes=1000, batches_in_flight=2)


@pytest.fixture
async def backlog() -> Backlog:
    return Backlog(LIMITS)


def delivery(tag: int, body: bytes = b"x", channel: Any = None) -> Delivery:
    return Delivery(body, tag, cast("AbstractChannel", channel), lambda: None)


def tags(batch: list[Delivery]) -> list[int]:
    return [one.tag for one in batch]


async def taken(backlog: Backlog) -> list[int] | None:
    """Return what can be taken now; None if that would have to wait."""
    try:
        async with asyncio.timeout(0):
            return tags(await backlog.take())
    except TimeoutError:
        return None


async def test_an_idle_worker_takes_what_is_there(backlog: Backlog) -> None:
    assert await taken(backlog) is None
    backlog.add(delivery(1))
    assert await taken(backlog) == [1]


async def test_who_waits_is_woken_by_a_delivery(backlog: Backlog) -> None:
    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    backlog.add(delivery(1))
    assert tags(await taking) == [1]


async def test_a_batch_holds_so_many_messages_at_most_in_order(backlog: Backlog) -> None:
    for tag in range(6):
        backlog.add(delivery(tag))
    assert await taken(backlog) == [0, 1, 2, 3]


@pytest.mark.parametrize(("size", "batch"), [(400, [0, 1, 2]), (1000, [0]), (5000, [0])])
async def test_a_batch_takes_no_further_message_beyond_its_bytes(
    backlog: Backlog, size: int, batch: list[int]
) -> None:
    for tag in range(4):
        backlog.add(delivery(tag, bytes(size)))
    assert await taken(backlog) == batch


async def test_bytes_are_counted_decompressed(backlog: Backlog) -> None:
    body = Compressor().compress(bytes(5000))
    assert len(body) < 100
    backlog.add(delivery(0, body))
    backlog.add(delivery(1, body))
    assert await taken(backlog) == [0]


async def test_what_cannot_be_decompressed_is_taken_all_the_same(backlog: Backlog) -> None:
    backlog.add(delivery(0, Compressor().compress(bytes(5000))[:6]))
    assert await taken(backlog) == [0]


async def test_beside_a_batch_in_flight_another_must_be_worth_it(backlog: Backlog) -> None:
    backlog.add(delivery(0))
    assert await taken(backlog) == [0]
    backlog.add(delivery(1))
    assert await taken(backlog) is None
    backlog.add(delivery(2))
    assert await taken(backlog) == [1, 2]


async def test_bytes_make_a_batch_worth_it_too(backlog: Backlog) -> None:
    backlog.add(delivery(0))
    assert await taken(backlog) == [0]
    backlog.add(delivery(1, bytes(500)))
    assert await taken(backlog) == [1]


async def test_what_was_not_worth_it_is_taken_once_the_batch_is_done(backlog: Backlog) -> None:
    backlog.add(delivery(0))
    await backlog.take()
    backlog.add(delivery(1))
    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    assert not taking.done()
    backlog.done()
    assert tags(await taking) == [1]


async def test_what_is_not_worth_it_does_not_follow_the_batch_before_at_once(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.backlog, "_PACE_S", 1000)
    backlog.add(delivery(0))
    assert await taken(backlog) == [0]
    backlog.done()
    backlog.add(delivery(1))
    assert await taken(backlog) is None
    backlog.add(delivery(2))
    assert await taken(backlog) == [1, 2]
    backlog.done()
    backlog.add(delivery(3))
    monkeypatch.setattr(worker.backlog, "_PACE_S", 0.01)
    async with asyncio.timeout(5):
        assert tags(await backlog.take()) == [3]


async def test_what_is_not_worth_it_does_not_wait_for_a_batch_that_is_stuck(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    backlog.add(delivery(0))
    await backlog.take()
    backlog.add(delivery(1))
    assert await taken(backlog) is None
    monkeypatch.setattr(worker.backlog, "_PATIENCE_S", 0.01)
    async with asyncio.timeout(5):
        assert tags(await backlog.take()) == [1]


async def test_no_more_batches_than_allowed_are_in_flight(backlog: Backlog) -> None:
    for tag in range(12):
        backlog.add(delivery(tag))
    assert await taken(backlog) == [0, 1, 2, 3]
    assert await taken(backlog) == [4, 5, 6, 7]
    assert await taken(backlog) is None
    backlog.done()
    assert await taken(backlog) == [8, 9, 10, 11]


async def test_deliveries_of_a_lost_channel_are_forgotten(backlog: Backlog) -> None:
    lost, other = object(), object()
    for tag, channel in ((0, lost), (1, other), (2, lost)):
        backlog.add(delivery(tag, bytes(400), channel))
    backlog.forget(cast("AbstractChannel", lost))
    assert await taken(backlog) == [1]
    backlog.add(delivery(3, bytes(400)))
    assert await taken(backlog) is None
