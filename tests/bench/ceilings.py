"""Ceilings of the servers: the same messages and the same segments, with nothing round them."""

import asyncio
import time
from typing import Any, cast

import aiormq
from pamqp.commands import Basic

from ingest.contract.documents import SEGMENTS
from ingest.contract.message import CONTENT_TYPE, decode_message
from ingest.contract.topology import ROUTING_KEY, UPDATES_EXCHANGE, UPDATES_QUEUE
from ingest.runtime.database import open_client, prepare_database
from tests.bench.arithmetic import pieces
from tests.bench.rig import channel_of
from tests.harness.services import Site

_PERSISTENT = 2
_TIMEOUT_S = 60.0


async def take_messages(site: Site, max_bytes: int) -> list[bytes]:
    """Take messages off the queue of updates, up to so many bytes; the queue is empty then."""
    messages: list[bytes] = []
    size = 0
    async with channel_of(site) as channel:
        queue = await channel.get_queue(UPDATES_QUEUE.name)
        while size < max_bytes and (message := await queue.get(no_ack=True, fail=False)):
            messages.append(message.body)
            size += len(message.body)
        await queue.purge()
    return messages


async def purge(site: Site) -> None:
    """Empty the queue of updates."""
    async with channel_of(site) as channel:
        await (await channel.get_queue(UPDATES_QUEUE.name)).purge()


def count_entries(messages: list[bytes]) -> list[int]:
    """Count the updates in each message."""
    return [len(decode_message(message).entries) for message in messages]


async def publish(
    site: Site, messages: list[bytes], in_flight: int, duration_s: float | None = None
) -> tuple[int, float]:
    """Publish messages with confirms; return how many, and in how many seconds.

    For a duration they are published over and over, else each one once.
    """
    connection = await aiormq.connect(site.amqp_url)
    channel = cast("aiormq.Channel", await connection.channel(publisher_confirms=True))
    properties = Basic.Properties(content_type=CONTENT_TYPE, delivery_mode=_PERSISTENT)
    began = time.perf_counter()
    published = 0

    async def publish_some() -> None:
        nonlocal published
        while True:
            if duration_s is None:
                if published == len(messages):
                    return
            elif time.perf_counter() - began >= duration_s:
                return
            body = messages[published % len(messages)]
            published += 1
            await channel.basic_publish(
                body,
                exchange=UPDATES_EXCHANGE.name,
                routing_key=ROUTING_KEY,
                properties=properties,
                mandatory=True,
                wait=False,
            )

    await asyncio.gather(*(publish_some() for _ in range(in_flight)))
    took_s = time.perf_counter() - began
    await connection.close()
    return published, took_s


async def insert(
    url: str, name: str, documents: list[dict[str, Any]], batches: int, in_flight: int
) -> float:
    """Insert segments into a new database, prepared as the product's; return the seconds.

    They are inserted in so many unordered batches, some of them at the same time, each acknowledged
    by a majority from its journal, by the product's driver.
    """
    client = open_client(url, "bench", _TIMEOUT_S, _TIMEOUT_S)
    database = client[name]
    await prepare_database(database)
    parts = iter([documents[piece] for piece in pieces(documents, batches)])

    async def insert_some() -> None:
        for part in parts:
            await database[SEGMENTS].insert_many(part, ordered=False)

    began = time.perf_counter()
    await asyncio.gather(*(insert_some() for _ in range(in_flight)))
    took_s = time.perf_counter() - began
    await client.drop_database(name)
    client.close()
    return took_s
