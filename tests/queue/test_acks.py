"""A message is acked only when what it holds is safe; until then it is on the queue."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError

from deploy.local.mongodb import MongoDB
from deploy.local.ports import LOOPBACK
from deploy.local.process import wait_for
from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.documents import RESOURCES
from ingest.contract.topology import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, ROUTING_KEY
from tests.faults.proxy import Proxy
from tests.harness.services import Site, Worker
from tests.queue.broker_client import channel_of, length, put, take_dead_letters, until_length
from tests.queue.test_poison import entry, message

DEADLINE_S = 20
# A worker that is told to stop finishes what it can in this time: so whatever it would ack too
# early it has acked, and what it has not is back on the queue.
DRAIN = {"WORKER_DRAIN_TIMEOUT_S": "2"}
MESSAGES = 3


async def drained(worker: Worker) -> None:
    worker.terminate()
    assert await asyncio.to_thread(worker.await_end) == 0


async def test_what_could_not_be_written_is_on_the_queue_again(
    site: Site, database: MongoDB
) -> None:
    async with channel_of(site) as channel, Proxy(database.members[0].port) as proxy:
        url = f"mongodb://{LOOPBACK}:{proxy.port}/?directConnection=true"
        worker = site.worker(MONGODB_URL=url, **DRAIN)
        await asyncio.to_thread(worker.start)
        proxy.silence()
        await put(channel, *(message(entry("a-run"), number=n) for n in range(MESSAGES)))
        await until_length(channel, 0)  # the worker has them
        await drained(worker)
        await until_length(channel, MESSAGES)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[MongoDB]:
    """A MongoDB of two members: without one of them, there is no majority."""
    database = MongoDB(tmp_path / "mongodb", members=2, cache_gb=0.25)
    database.start()
    yield database
    database.kill()


@pytest.fixture
def paired(broker: RabbitMQ, pair: MongoDB, tmp_path: Path) -> Iterator[Site]:
    site = Site(broker, pair, "paired", tmp_path)
    yield site
    site.close()


async def test_what_a_majority_has_not_written_is_on_the_queue_again(
    paired: Site, pair: MongoDB
) -> None:
    # So the database says that there is no majority; else the worker would simply wait.
    worker = paired.worker(MONGODB_URL=paired.database_url + "&wtimeoutMS=200", **DRAIN)
    await asyncio.to_thread(worker.start)
    primary = await asyncio.to_thread(pair.primary)
    (secondary,) = (member for member in pair.members if member is not primary)
    assert primary is not None
    with primary.connect() as one, secondary.connect() as other:
        other.admin.command("fsync", lock=True)  # it votes still, and writes nothing
        async with channel_of(paired) as channel:
            await put(channel, message(entry("a-run")))
            stored = one[paired.database_name][RESOURCES]
            is_written = lambda: stored.count_documents({}) == 1  # noqa: E731
            assert await asyncio.to_thread(wait_for, is_written, DEADLINE_S)
            await drained(worker)
            await until_length(channel, 1)


async def fill_dead_letters(channel: AbstractChannel) -> int:
    """Publish dead letters until the queue refuses one; returns how many it took."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE.name, ensure=False)
    async with asyncio.timeout(DEADLINE_S):
        with suppress(DeliveryError):
            while True:
                await exchange.publish(aio_pika.Message(b"earlier"), ROUTING_KEY)
    return await length(channel, DEAD_LETTER_QUEUE)


async def test_poison_whose_dead_letter_is_not_confirmed_is_on_the_queue_again(
    site: Site, broker: RabbitMQ
) -> None:
    full = '{"max-length":1,"overflow":"reject-publish"}'
    policy = ("-p", site.database_name, "full")
    async with channel_of(site) as channel:
        await asyncio.to_thread(broker.control, "set_policy", *policy, DEAD_LETTER_QUEUE.name, full)
        already = await fill_dead_letters(channel)
        worker = site.worker(**DRAIN)
        await asyncio.to_thread(worker.start)
        await put(channel, b"no json")
        await until_length(channel, 0)
        await drained(worker)
        await until_length(channel, 1)
        assert await length(channel, DEAD_LETTER_QUEUE) == already

        await asyncio.to_thread(broker.control, "clear_policy", *policy)
        await asyncio.to_thread(worker.start)
        *_, letter = await take_dead_letters(channel, already + 1)
        assert letter.body == b"no json"
