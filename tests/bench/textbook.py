"""The textbook's consumer, and what its two halves share: `python -m tests.bench.textbook COUNTS`.

For each message one `update_one` that pushes the points into its execution's document, then the
ack, as tutorials show it. A hundred messages are worked on at a time. COUNTS is a file of shared
memory, where the number of messages that are stored is kept as a double.
"""

import asyncio
import mmap
import os
import sys
from pathlib import Path
from typing import Any

import aio_pika
import orjson
import uvloop
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection

from ingest.runtime.urls import WRITE_CONCERN

QUEUE = "textbook"
COLLECTION = "textbook"
COUNTS_BYTES = 4096
_PREFETCH = 100

Documents = AsyncIOMotorCollection[dict[str, Any]]


async def declare(channel: AbstractChannel) -> AbstractQueue:
    """Declare the queue: durable and replicated, like the product's."""
    return await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})


def documents() -> Documents:
    """Open the collection; writes are acknowledged by a majority, from their journals."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        os.environ["MONGODB_URL"], **WRITE_CONCERN
    )
    return client[os.environ["MONGODB_DATABASE"]][COLLECTION]


async def push(collection: Documents, resource: dict[str, Any]) -> None:
    """Append an update's points to the document of its execution."""
    points = {"metrics": {"$each": resource["metrics"]}}
    await collection.update_one({"_id": resource["executionId"]}, {"$push": points}, upsert=True)


async def _consume(counts: "memoryview[float]") -> None:
    collection = documents()
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=_PREFETCH)
    queue = await declare(channel)

    async def apply(message: AbstractIncomingMessage) -> None:
        async with message.process():
            await push(collection, orjson.loads(message.body))
        counts[0] += 1

    await queue.consume(apply)
    counts[0] = 0  # ready
    await asyncio.Event().wait()


def main() -> None:
    """Consume until a signal."""
    with Path(sys.argv[1]).open("rb+") as file:
        counts = memoryview(mmap.mmap(file.fileno(), COUNTS_BYTES)).cast("d")
    uvloop.run(_consume(counts))


if __name__ == "__main__":
    main()
