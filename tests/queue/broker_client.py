"""Direct access to a site's queues."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.topology import (
    DEAD_LETTER_QUEUE,
    ROUTING_KEY,
    UPDATES_EXCHANGE,
    UPDATES_QUEUE,
    Queue,
)
from ingest.runtime.broker import declare_topology
from tests.harness.services import Site

DEADLINE_S = 20


@asynccontextmanager
async def channel_of(site: Site) -> AsyncIterator[AbstractChannel]:
    """Open a channel with the topology declared."""
    connection = await aio_pika.connect(site.amqp_url)
    async with connection:
        channel = await connection.channel(on_return_raises=True)
        await declare_topology(channel)
        yield channel


async def put(channel: AbstractChannel, *bodies: bytes) -> None:
    """Put messages on the queue of updates."""
    exchange = await channel.get_exchange(UPDATES_EXCHANGE.name, ensure=False)
    for body in bodies:
        await exchange.publish(aio_pika.Message(body), ROUTING_KEY)


async def take_dead_letters(channel: AbstractChannel, count: int) -> list[AbstractIncomingMessage]:
    """Wait for so many dead letters and take them."""
    queue = await channel.get_queue(DEAD_LETTER_QUEUE.name, ensure=False)
    letters: list[AbstractIncomingMessage] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(letters) < count:
            letter = await queue.get(fail=False)
            if letter is None:
                await asyncio.sleep(0.05)
            else:
                await letter.ack()
                letters.append(letter)
    assert await queue.get(fail=False) is None, "more dead letters than expected"
    return letters


async def until_saved(broker: RabbitMQ) -> None:
    """Wait until the broker would find its queues again after a crash.

    RabbitMQ 3.10 saves the names of quorum queues about a second after they are declared. Killed
    before that, it comes back with a queue that never gets a leader.
    """
    (names,) = broker.folder.glob("data/*/quorum/*/names.dets")
    saved_after_s = 1.5
    async with asyncio.timeout(DEADLINE_S):
        while time.time() - names.stat().st_mtime < saved_after_s:
            await asyncio.sleep(0.1)


async def until_length(channel: AbstractChannel, expected: int) -> None:
    """Wait until so many messages are ready on the queue of updates."""
    async with asyncio.timeout(DEADLINE_S):
        while await length(channel) != expected:
            await asyncio.sleep(0.05)


async def length(channel: AbstractChannel, queue_data: Queue = UPDATES_QUEUE) -> int:
    """Return how many messages are ready on a queue."""
    queue = await channel.declare_queue(queue_data.name, passive=True)
    return queue.declaration_result.message_count or 0
