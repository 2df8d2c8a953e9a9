"""The consumer: from the queues to deliveries, and acks back."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.abc import AbstractChannel as UnderlayChannel

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

log = logging.getLogger(__name__)

# How often the queues are asked for their lengths: it also shows whether the broker still answers.
_QUEUE_CHECK_S = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message with what is needed to ack it."""

    body: bytes
    tag: int
    channel: UnderlayChannel
    give_up: Callable[[], None]

    async def ack(self) -> None:
        """Tell the broker that the message may be forgotten.

        An ack that is lost does no harm: the message comes again, and applying it again changes
        nothing. For that the connection is given up, should it still seem to live.
        """
        try:
            with broker_errors():
                # The deadline matters: aiormq's queue of frames to be written stays full for ever
                # when its connection is lost.
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self.channel.basic_ack(self.tag, wait=False)
        except BrokerError:
            telemetry.LOST_ACKS.inc()
            self.give_up()


class Consumer:
    """Consume the queues of updates, over every connection that it takes.

    Each queue has a channel of its own, so that one without a leader does not keep the others from
    being consumed. A queue beyond `queues` that is there all the same is consumed as well: whoever
    lowers the number must not lose what is on it.
    """

    def __init__(self, url: str, prefetch_messages: int, queues: int) -> None:
        """Consume so many queues; the messages prefetched are divided among them."""
        self._url = url
        self._prefetch_messages = prefetch_messages
        self._queues = queues
        self._deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
        self._stopped = False
        # By the queue's name: the channel, and the consumer's tag.
        self._consumed: dict[str, tuple[UnderlayChannel, str]] = {}
        telemetry.BROKER_CONNECTED.set_function(lambda: self.connected)

    @property
    def connected(self) -> bool:
        """Whether any queue is consumed."""
        return bool(self._consumed)

    async def run(self) -> None:
        """Consume until cancelled. Deliveries that were not acked by then come again."""
        await keep_connected(self._url, "worker", self._use)

    async def take_batch(self, max_messages: int, max_bytes: int) -> list[Delivery]:
        """Wait for a delivery; return it with what else has arrived, within the limits."""
        first = await self._deliveries.get()
        batch, size = [first], len(first.body)
        while len(batch) < max_messages and size < max_bytes and not self._deliveries.empty():
            delivery = self._deliveries.get_nowait()
            batch.append(delivery)
            size += len(delivery.body)
        return batch

    async def stop(self) -> None:
        """Have the broker send no more deliveries; acks still work."""
        self._stopped = True
        try:
            with broker_errors():
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    for channel, consumer_tag in list(self._consumed.values()):
                        await channel.basic_cancel(consumer_tag)
        except BrokerError as error:
            log.info("could not cancel the consumers", extra={"reason": str(error)})

    async def _use(self, connection: AbstractConnection) -> None:
        """Consume over one connection until it is lost (see broker.keep_connected)."""
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        channel = await connection.channel(publisher_confirms=False)
        channel.close_callbacks.add(lambda *_: lost.set())
        await declare_topology(channel, self._queues)
        queues = [*updates_queues(self._queues), *await _further(connection, self._queues)]
        prefetch_messages = max(1, self._prefetch_messages // len(queues))
        telemetry.QUEUE_MESSAGES.clear()
        try:
            while not lost.is_set():
                for queue in queues:
                    if not (lost.is_set() or self._stopped or queue.name in self._consumed):
                        await self._consume(connection, queue, prefetch_messages, lost)
                if not (self._consumed or self._stopped):
                    raise BrokerError("no queue can be consumed")
                await _check_queues(channel, queues)
                await _wait(lost, _QUEUE_CHECK_S)
        finally:
            self._consumed.clear()
            # They belong to channels that are gone, and will be delivered again.
            while not self._deliveries.empty():
                self._deliveries.get_nowait()

    async def _consume(
        self,
        connection: AbstractConnection,
        queue: Queue,
        prefetch_messages: int,
        lost: asyncio.Event,
    ) -> None:
        """Begin to consume a queue. If that fails nothing changes: it may have no leader now."""
        channel = await connection.channel(publisher_confirms=False)
        underlay = await channel.get_underlay_channel()

        async def deliver(message: AbstractIncomingMessage) -> None:
            if message.delivery_tag is not None:
                delivery = Delivery(message.body, message.delivery_tag, underlay, lost.set)
                self._deliveries.put_nowait(delivery)

        try:
            with broker_errors():
                await channel.set_qos(prefetch_count=prefetch_messages, timeout=CONNECT_TIMEOUT_S)
                found = await channel.get_queue(queue.name, ensure=False)
                consumer_tag = await found.consume(deliver, timeout=CONNECT_TIMEOUT_S)
        except BrokerError as error:
            log.warning(
                "a queue cannot be consumed", extra={"queue": queue.name, "reason": str(error)}
            )
            with suppress(BrokerError), broker_errors():
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await channel.close()
            return
        channel.close_callbacks.add(lambda *_: lost.set())
        # The broker cancels a consumer whose queue is deleted: declare it again.
        underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())
        self._consumed[queue.name] = (underlay, consumer_tag)


async def _further(connection: AbstractConnection, number: int) -> list[Queue]:
    """Return the queues of updates that are there beyond so many."""
    further: list[Queue] = []
    while number < MAX_UPDATES_QUEUES and await _exists(connection, updates_queue(number)):
        further.append(updates_queue(number))
        number += 1
    if further:
        log.warning(
            "there are more queues than UPDATE_QUEUES says: these are consumed, too",
            extra={"queues": [queue.name for queue in further]},
        )
    return further


async def _exists(connection: AbstractConnection, queue: Queue) -> bool:
    # A channel of its own, since it does not survive a "no".
    channel = await connection.channel(publisher_confirms=False)
    try:
        await channel.declare_queue(queue.name, passive=True, timeout=CONNECT_TIMEOUT_S)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def _check_queues(channel: AbstractChannel, updates: Sequence[Queue]) -> None:
    """Note how many messages are ready on the queues of updates, and of dead letters.

    Only here do dead letters show that the broker made (an update that reached the delivery
    limit): the counter by reason knows those that a worker published. What `dead-letters` holds
    while it walks the queue is not ready, and so not counted.
    """
    gauges = {queue.name: telemetry.QUEUE_MESSAGES.labels(queue.name) for queue in updates}
    gauges[DEAD_LETTER_QUEUE.name] = telemetry.DEAD_LETTER_MESSAGES
    for name, gauge in gauges.items():
        queue = await channel.declare_queue(name, passive=True, timeout=CONNECT_TIMEOUT_S)
        gauge.set(queue.declaration_result.message_count or 0)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
