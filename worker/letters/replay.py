"""Replay and drop: what takes letters off the queue.

Replaying is publishing a letter's body, byte by byte the same, to the exchange of updates, and
acking the letter once that is confirmed. Interrupted between the two, or done twice, it publishes
a message again whose id the store knows already: nothing is stored twice.
"""

import asyncio
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from ingest.contract.message import CONTENT_TYPE
from ingest.contract.topology import ROUTING_KEY, UPDATES_EXCHANGE
from ingest.runtime.broker import (
    CONNECT_TIMEOUT_S,
    BrokerError,
    QueueRefusedError,
    broker_errors,
)
from ingest.runtime.progress import Progress
from worker.letters.letter import Filter, Letter
from worker.letters.walk import WINDOW, Walk

# A broker in alarm, or one without a majority, confirms nothing.
CONFIRM_TIMEOUT_S = 15.0


@dataclass(slots=True)
class Tally:
    """What became of the letters that were tried."""

    done: int = 0
    failed: int = 0


async def drop(
    walk: Walk, wanted: Filter, limit: int | None, tally: Tally, progress: Progress
) -> None:
    """Take letters off the queue for good.

    Raises:
        BrokerError: the connection was lost; the last letters may still be there.
    """
    while limit is None or tally.done < limit:
        message = await walk.next()
        if message is None:
            break
        if wanted.matches(Letter(message)):
            await walk.remove(message)
            tally.done += 1
        else:
            walk.leave(message)
        progress.show(walk.seen, walk.length)


async def replay(
    walk: Walk, wanted: Filter, limit: int | None, tally: Tally, progress: Progress
) -> None:
    """Publish letters to the exchange of updates and take them off the queue.

    After a failure no further letter is begun, but those on their way are finished.

    Raises:
        BrokerError: a letter could not be published or removed, and is on the queue still; or the
            connection was lost.
    """
    exchange = await _exchange_of(walk)
    slots = asyncio.Semaphore(WINDOW)
    failures: list[BrokerError] = []

    async def replay_one(message: AbstractIncomingMessage) -> None:
        try:
            await _publish(exchange, message.body)
            await walk.remove(message)
            tally.done += 1
        except BrokerError as error:
            failures.append(error)
            tally.failed += 1
            walk.leave(message)
        finally:
            slots.release()
            progress.show(walk.seen, walk.length)

    begun = 0
    async with asyncio.TaskGroup() as tasks:
        while not failures and (limit is None or begun < limit):
            try:
                message = await walk.next()
            except BrokerError as error:
                failures.append(error)
                break
            if message is None:
                break
            if wanted.matches(Letter(message)):
                await slots.acquire()
                tasks.create_task(replay_one(message))
                begun += 1
            else:
                walk.leave(message)
                progress.show(walk.seen, walk.length)
    if failures:
        raise failures[0]


async def _exchange_of(walk: Walk) -> AbstractExchange:
    try:
        with broker_errors():
            channel = await walk.connection.channel(publisher_confirms=True, on_return_raises=True)
            return await channel.declare_exchange(
                UPDATES_EXCHANGE.name, passive=True, timeout=CONNECT_TIMEOUT_S
            )
    except BrokerError as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            raise BrokerError(
                f"there is no exchange {UPDATES_EXCHANGE.name}: a gateway that is started, or "
                "runs, declares it"
            ) from error
        raise


async def _publish(exchange: AbstractExchange, body: bytes) -> None:
    """Publish a body and wait for the confirm.

    The letter's own headers are not sent along: its reason and its deaths are over.
    """
    message = aio_pika.Message(
        body, content_type=CONTENT_TYPE, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )
    try:
        with broker_errors():
            await exchange.publish(message, ROUTING_KEY, mandatory=True, timeout=CONFIRM_TIMEOUT_S)
    except QueueRefusedError as error:
        raise BrokerError(
            "the queue of updates is full: repeat this when workers have made room"
        ) from error
    except BrokerError as error:
        if isinstance(error.__cause__, TimeoutError):
            raise BrokerError(
                f"no confirm within {CONFIRM_TIMEOUT_S:g} s: the broker may be in alarm"
            ) from error
        raise
