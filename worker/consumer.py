"""The consumer: from the queue to deliveries, and acks back."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.abc import AbstractChannel as UnderlayChannel

from ingest.contract.compression import decompressed_bytes
from ingest.contract.topology import DEAD_LETTER_QUEUE, UPDATES_QUEUE
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
    message_bytes: int
    """How large the message is once it is decompressed."""

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
    """Consume the queue of updates, over every connection that it takes."""

    def __init__(self, url: str, prefetch_messages: int) -> None:
        self._url = url
        self._prefetch_messages = prefetch_messages
        self._deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
        self._stopped = False
        self._consuming: tuple[UnderlayChannel, str] | None = None
        self.connected = False
        telemetry.BROKER_CONNECTED.set_function(lambda: self.connected)

    async def run(self) -> None:
        """Consume until cancelled. Deliveries that were not acked by then come again."""
        await keep_connected(self._url, "worker", self._use)

    async def take_batch(self, max_messages: int, max_bytes: int) -> list[Delivery]:
        """Wait for a delivery; return it with what else has arrived, within the limits."""
        first = await self._deliveries.get()
        batch, size = [first], first.message_bytes
        while len(batch) < max_messages and size < max_bytes and not self._deliveries.empty():
            delivery = self._deliveries.get_nowait()
            batch.append(delivery)
            size += delivery.message_bytes
        return batch

    async def stop(self) -> None:
        """Have the broker send no more deliveries; acks still work."""
        self._stopped = True
        if self._consuming is not None:
            channel, consumer_tag = self._consuming
            try:
                with broker_errors():
                    await channel.basic_cancel(consumer_tag, timeout=CONNECT_TIMEOUT_S)
            except BrokerError as error:
                log.info("could not cancel the consumer", extra={"reason": str(error)})

    async def _use(self, connection: AbstractConnection) -> None:
        """Consume over one connection until it is lost (see broker.keep_connected)."""
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        channel = await connection.channel(publisher_confirms=False)
        channel.close_callbacks.add(lambda *_: lost.set())
        await declare_topology(channel)
        await channel.set_qos(prefetch_count=self._prefetch_messages)
        underlay = await channel.get_underlay_channel()
        # The broker cancels a consumer whose queue is deleted: declare it again.
        underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())
        queue = await channel.get_queue(UPDATES_QUEUE.name, ensure=False)

        async def deliver(message: AbstractIncomingMessage) -> None:
            if message.delivery_tag is not None:
                delivery = Delivery(
                    message.body,
                    _message_bytes(message.body),
                    message.delivery_tag,
                    underlay,
                    lost.set,
                )
                self._deliveries.put_nowait(delivery)

        if not self._stopped:
            consumer_tag = await queue.consume(deliver, timeout=CONNECT_TIMEOUT_S)
            self._consuming = (underlay, consumer_tag)
        self.connected = True
        try:
            while not lost.is_set():
                await _check_queues(channel)
                await _wait(lost, _QUEUE_CHECK_S)
        finally:
            self.connected = False
            self._consuming = None
            # They belong to a channel that is gone, and will be delivered again.
            while not self._deliveries.empty():
                self._deliveries.get_nowait()


def _message_bytes(body: bytes) -> int:
    try:
        return decompressed_bytes(body)
    except ValueError:  # it will be a dead letter
        return len(body)


async def _check_queues(channel: AbstractChannel) -> None:
    """Note how many messages are ready on both queues.

    Only here do dead letters show that the broker made (an update that reached the delivery
    limit): the counter by reason knows those that a worker published. What `dead-letters` holds
    while it walks the queue is not ready, and so not counted.
    """
    for name, gauge in (
        (UPDATES_QUEUE.name, telemetry.QUEUE_MESSAGES),
        (DEAD_LETTER_QUEUE.name, telemetry.DEAD_LETTER_MESSAGES),
    ):
        queue = await channel.declare_queue(name, passive=True, timeout=CONNECT_TIMEOUT_S)
        gauge.set(queue.declaration_result.message_count or 0)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
