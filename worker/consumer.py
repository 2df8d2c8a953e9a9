"""The consumer: from the queues to deliveries, and acks back."""

import asyncio
import logging
from contextlib import suppress
from functools import partial

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage

from ingest.contract.topology import (
    DEAD_LETTER_QUEUE,
    MAX_UPDATES_QUEUES,
    Queue,
    updates_queue,
    updates_queues,
)
from ingest.runtime.broker import (
    CONNECT_TIMEOUT_S,
    BrokerError,
    broker_errors,
    declare_topology,
    keep_connected,
)
from worker import telemetry
from worker.backlog import Backlog, Delivery

log = logging.getLogger(__name__)

# How often the queues are asked for their lengths: it also shows whether the broker still answers.
_QUEUE_CHECK_S = 5.0


class _GoneError(Exception):
    """A queue that nobody declares is no longer there."""


class Consumer:
    """Consume the queues of updates, over every connection that it takes.

    Each queue has a connection of its own: RabbitMQ 3.10 closes the whole connection that consumes
    a queue without a leader. A queue beyond `queues` that is there all the same is consumed as
    well: whoever lowers the number must not lose what is on it.
    """

    def __init__(self, url: str, prefetch_messages: int, queues: int, backlog: Backlog) -> None:
        """Consume so many queues into a backlog; they share the messages to be prefetched."""
        self._url = url
        self._prefetch_messages = max(1, prefetch_messages // queues)
        self._queues = updates_queues(queues)
        self._backlog = backlog
        self._tasks = asyncio.TaskGroup()
        self._stopped = False
        # By the queue's name: the channel, and the consumer's tag.
        self._consumed: dict[str, tuple[UnderlayChannel, str]] = {}
        self._further: set[Queue] = set()
        telemetry.BROKER_CONNECTED.set_function(lambda: self.connected)

    @property
    def connected(self) -> bool:
        """Whether any queue is consumed."""
        return bool(self._consumed)

    async def run(self) -> None:
        """Consume until cancelled. Deliveries that were not acked by then come again."""
        async with self._tasks:
            for queue in self._queues:
                use = partial(self._use, queue)
                self._tasks.create_task(keep_connected(self._url, "worker", use))

    async def stop(self) -> None:
        """Have the broker send no more deliveries; acks still work."""
        self._stopped = True
        await asyncio.gather(*(_cancel(*consumed) for consumed in self._consumed.values()))

    async def _use(self, queue: Queue, connection: AbstractConnection) -> None:
        """Consume a queue over one connection until it is lost (see broker.keep_connected)."""
        channel = await connection.channel(publisher_confirms=False)
        if queue in self._further:
            if not await _exists(connection, queue):
                raise _GoneError
        else:
            await declare_topology(channel, [queue])
        if queue == self._queues[0]:
            await self._look_further(connection)
        await self._consume(queue, connection, channel)

    async def _consume(
        self, queue: Queue, connection: AbstractConnection, channel: AbstractChannel
    ) -> None:
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        channel.close_callbacks.add(lambda *_: lost.set())
        prefetch_messages = 1 if queue in self._further else self._prefetch_messages
        await channel.set_qos(prefetch_count=prefetch_messages)
        underlay = await channel.get_underlay_channel()
        # The broker cancels a consumer whose queue is deleted: declare it again.
        underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())

        async def deliver(message: DeliveredMessage) -> None:
            if message.delivery_tag is not None:
                delivery = Delivery(message.body, message.delivery_tag, underlay, lost.set)
                self._backlog.add(delivery)

        try:
            if not self._stopped:
                # By aiormq: aio-pika makes an object of its own of each message, which costs the
                # worker as much as decoding small ones.
                consumed = await underlay.basic_consume(
                    queue.name, deliver, timeout=CONNECT_TIMEOUT_S
                )
                self._consumed[queue.name] = (underlay, str(consumed.consumer_tag))
            while not lost.is_set():
                await self._check(queue, channel)
                await _wait(lost, _QUEUE_CHECK_S)
        finally:
            self._consumed.pop(queue.name, None)
            self._backlog.forget(underlay)
            self._forget_lengths(queue)

    async def _check(self, queue: Queue, channel: AbstractChannel) -> None:
        """Note how many messages are ready on a queue; with the first, also how many dead letters.

        Only here do dead letters show that the broker made (an update that reached the delivery
        limit): the counter by reason knows those that a worker published. What `dead-letters`
        holds while it walks the queue is not ready, and so not counted.
        """
        telemetry.QUEUE_MESSAGES.labels(queue.name).set(await _ready(channel, queue))
        if queue == self._queues[0]:
            dead_letters = telemetry.DEAD_LETTER_MESSAGES.labels(DEAD_LETTER_QUEUE.name)
            dead_letters.set(await _ready(channel, DEAD_LETTER_QUEUE))

    def _forget_lengths(self, queue: Queue) -> None:
        """Show nothing of a queue that is not asked any longer: it would raise false alarms."""
        with suppress(KeyError):
            telemetry.QUEUE_MESSAGES.remove(queue.name)
        if queue == self._queues[0]:
            with suppress(KeyError):
                telemetry.DEAD_LETTER_MESSAGES.remove(DEAD_LETTER_QUEUE.name)

    async def _look_further(self, connection: AbstractConnection) -> None:
        """Begin to consume the queues that are there beyond the number."""
        for number in range(len(self._queues), MAX_UPDATES_QUEUES):
            queue = updates_queue(number)
            if not await _exists(connection, queue):
                return
            if queue not in self._further:
                log.warning(
                    "there is a queue beyond UPDATE_QUEUES: consumed, too",
                    extra={"queue": queue.name},
                )
                self._further.add(queue)
                self._tasks.create_task(self._consume_further(queue))

    async def _consume_further(self, queue: Queue) -> None:
        """Consume a queue, one message at a time, until it is deleted."""
        with suppress(_GoneError):
            await keep_connected(self._url, "worker", partial(self._use, queue))
        self._further.remove(queue)


async def _cancel(channel: UnderlayChannel, consumer_tag: str) -> None:
    try:
        with broker_errors():
            await channel.basic_cancel(consumer_tag, timeout=CONNECT_TIMEOUT_S)
    except BrokerError as error:
        log.info("could not cancel a consumer", extra={"reason": str(error)})


async def _exists(connection: AbstractConnection, queue: Queue) -> bool:
    channel = await connection.channel(publisher_confirms=False)
    try:
        await _ready(channel, queue)
    except ChannelNotFoundEntity:  # the channel does not survive it
        return False
    await channel.close()
    return True


async def _ready(channel: AbstractChannel, queue: Queue) -> int:
    found = await channel.declare_queue(queue.name, passive=True, timeout=CONNECT_TIMEOUT_S)
    return found.declaration_result.message_count or 0


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
