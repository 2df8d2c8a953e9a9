"""Walk the dead-letter queue: look at each letter once, remove some, leave the others.

A letter that is looked at is delivered, and stays unacked until the walk ends: else the broker
would deliver it again. One that was not acked returns to the queue when the channel closes, at
its old place as far as RabbitMQ keeps it. So nothing is lost whenever the walk is interrupted.

What matters of RabbitMQ's quorum queues (tried on 3.10, whose manual is silent on the first):

- Prefetch 0 does not mean "no limit" but 2000, and a limit has at most 16 bits. A walk that leaves
  more letters than its prefetch would stand still, so it consumes once more whenever too little of
  its windows is left. A prefetch counts per consumer, and unacked letters cost the broker an
  index entry each, not their bodies.
- A delivery that is not acked within `consumer_timeout` (30 minutes by default) closes the
  channel. A walk is much faster; should it be not, it ends with an error and what it did so far.
- Each return adds to a letter's delivery count, and RabbitMQ 4 would drop it after 20. The queue
  has a limit of 2^31-1 for this reason (see contract/topology.py).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity, ProbableAuthenticationError

from ingest.contract.topology import DEAD_LETTER_QUEUE, UPDATES_QUEUE, Queue
from ingest.runtime.broker import (
    CONNECT_TIMEOUT_S,
    BrokerError,
    broker_errors,
    close,
    connect,
)

# Letters whose bodies may be in memory at once, since more are not delivered ahead.
WINDOW = 64
# After so long without a delivery the queue is asked whether it has any left for us.
_IDLE_S = 1.0
# A queue that has letters and delivers none in this time has no leader, or worse.
_SILENCE_DEADLINE_S = 30.0
# Since letters last returned: all together may be a hundred thousand, each 480 a poll at least.
_END_DEADLINE_S = 30.0
_RETURN_TOGETHER = 32
_RETURNS_ON_THEIR_WAY = 15  # each may be two commands, for two consumers
_RETURN_DEADLINE_S = 5.0
_RETURN_POLL_S = 0.02


class Walk:
    """One walk over the letters that were ready when it began; use `begin_walk`."""

    def __init__(
        self, connection: AbstractConnection, channel: AbstractChannel, length: int, others: int
    ) -> None:
        self.connection = connection
        # What other commands hold already, the broker does not count.
        self.others = others
        # How many letters there were. What comes later is not looked at: so the walk ends, also
        # while a worker dead-letters what is replayed.
        self.length = length
        self.seen = 0
        self._exhausted = False
        self._channel = channel
        self._consumer_tags: list[str] = []
        self._left = 0
        self._return_tags: list[int] = []
        self._unacked = 0
        self._arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._stopped = False
        self._lost = False

    @property
    def unseen(self) -> int:
        """How many letters were there and have not been looked at."""
        return 0 if self._exhausted else self.length - self.seen

    @property
    def elsewhere(self) -> int:
        """How many letters were there, but came to another command, which holds or removed them."""
        return self.length - self.seen if self._exhausted else 0

    def stop(self) -> None:
        """Look at no further letter: `next` returns None from now on."""
        self._stopped = True
        self._arrived.put_nowait(None)

    async def next(self) -> AbstractIncomingMessage | None:
        """Return the next letter, which must be removed or left; None at the end.

        Raises:
            BrokerError: the connection was lost or the queue delivers nothing.
        """
        if self.seen >= self.length:
            return None
        if len(self._consumer_tags) * WINDOW - self._left < WINDOW / 2:
            await self._consume()
        message = await self._arrival()
        if message is None:
            return None
        self.seen += 1
        return message

    def leave(self, message: AbstractIncomingMessage) -> None:
        """Leave a letter on the queue. It takes up its place in a window until the end."""
        self._left += 1
        if self._left % _RETURN_TOGETHER == 0 and message.delivery_tag is not None:
            self._return_tags.append(message.delivery_tag)

    async def remove(self, message: AbstractIncomingMessage) -> None:
        """Take a letter off the queue.

        Raises:
            BrokerError: it will come back.
        """
        with broker_errors():
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await message.ack()
        self._unacked -= 1

    async def _arrival(self) -> AbstractIncomingMessage | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + _SILENCE_DEADLINE_S
        asked = False
        while not self._stopped:
            try:
                async with asyncio.timeout(_IDLE_S):
                    message = await self._arrived.get()
            except TimeoutError:
                # Another command may hold letters that we counted. When none has been ready
                # twice, none is on its way to us either.
                if await ready(self._channel, DEAD_LETTER_QUEUE) == 0:
                    self._exhausted = asked
                    if asked:
                        return None
                    asked = True
                elif clock() > deadline:
                    raise BrokerError("the dead-letter queue delivers nothing") from None
                continue
            if message is None and self._lost:
                raise BrokerError("the connection was lost")
            return message
        return None

    async def _consume(self) -> None:
        async def deliver(message: AbstractIncomingMessage) -> None:
            self._unacked += 1
            self._arrived.put_nowait(message)

        # What several consumers hold is returned in the order of their tags.
        tag = f"walk-{len(self._consumer_tags):09}"
        with broker_errors():
            queue = await self._channel.get_queue(DEAD_LETTER_QUEUE.name, ensure=False)
            await queue.consume(deliver, consumer_tag=tag, timeout=CONNECT_TIMEOUT_S)
        self._consumer_tags.append(tag)

    async def end(self, watching: AbstractChannel) -> None:
        """Let all letters that were not removed return, and wait until they have.

        Who lists and then replays must not find fewer. Closing the channel alone would do, but
        mix up the order. RabbitMQ 3.10 keeps it if no command returns more than 32 letters and
        no more than 32 such commands are on their way: beyond that its maps are not in order.

        Raises:
            BrokerError: letters that seemed to be removed may be there still.
        """
        self.stop()
        with broker_errors():
            clock = asyncio.get_running_loop().time
            async with asyncio.timeout(_END_DEADLINE_S) as deadline:
                channel = await self._channel.get_underlay_channel()
                for consumer in self._consumer_tags:
                    await channel.basic_cancel(consumer, nowait=True)
                others = await ready(watching, DEAD_LETTER_QUEUE)
                # That somebody takes some of them meanwhile is no error, but the end of waiting.
                with suppress(TimeoutError):
                    for number, tag in enumerate(sorted(self._return_tags), start=1):
                        await channel.basic_nack(tag, multiple=True)
                        if number % _RETURNS_ON_THEIR_WAY == 0:
                            await _until_ready(watching, others + number * _RETURN_TOGETHER)
                            deadline.reschedule(clock() + _END_DEADLINE_S)
                await self._channel.close()  # answered after all acks; the rest returns by it
                with suppress(TimeoutError):
                    await _until_ready(watching, others + self._unacked)

    async def prepare(self) -> None:
        """Bound what is delivered ahead and notice when the channel or the queue is lost."""
        await self._channel.set_qos(prefetch_count=WINDOW, timeout=CONNECT_TIMEOUT_S)
        self._channel.close_callbacks.add(self._lose)
        underlay = await self._channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._lose)

    def _lose(self, *_: object) -> None:
        self._lost = True
        self._arrived.put_nowait(None)


async def ready(channel: AbstractChannel, queue: Queue) -> int:
    """Return how many messages are ready on a queue.

    Raises:
        BrokerError: the broker is away, or has no such queue.
    """
    return (await _inspect(channel, queue))[0]


async def _inspect(channel: AbstractChannel, queue: Queue) -> tuple[int, int]:
    """Return how many messages are ready on a queue, and how many consumers it has."""
    try:
        with broker_errors():
            found = await channel.declare_queue(queue.name, passive=True, timeout=CONNECT_TIMEOUT_S)
    except BrokerError as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            raise BrokerError(
                f"there is no queue {queue.name}: gateways and workers declare it when they "
                "start, so AMQP_URL may name another broker or virtual host than theirs"
            ) from error
        raise
    result = found.declaration_result
    return result.message_count or 0, result.consumer_count or 0


async def _until_ready(channel: AbstractChannel, count: int) -> None:
    async with asyncio.timeout(_RETURN_DEADLINE_S):
        while await ready(channel, DEAD_LETTER_QUEUE) < count:  # noqa: ASYNC110 - in the broker
            await asyncio.sleep(_RETURN_POLL_S)


@asynccontextmanager
async def begin_walk(url: str, stop: asyncio.Event) -> AsyncIterator[Walk]:
    """Walk over a connection of its own; ends early when `stop` is set.

    Nothing is declared here: in a virtual host that is not the product's it would hide the mistake.

    Raises:
        BrokerError: the broker cannot be reached, has no such queue, or went away at the end, so
            that letters that seemed to be removed may be there still.
    """
    try:
        connection = await connect(url, "dead-letters")
    except BrokerError as error:
        if isinstance(error.__cause__, ProbableAuthenticationError):
            raise BrokerError("the broker refuses the user or password of AMQP_URL") from error
        if isinstance(error.__cause__, TimeoutError):
            raise BrokerError(
                f"the broker that AMQP_URL names does not answer within {CONNECT_TIMEOUT_S:g} s"
            ) from error
        raise BrokerError(f"no connection to the broker that AMQP_URL names: {error}") from error
    try:
        with broker_errors():
            watching = await connection.channel(publisher_confirms=False)
            channel = await connection.channel(publisher_confirms=False)
        await ready(watching, UPDATES_QUEUE)
        walk = Walk(connection, channel, *await _inspect(watching, DEAD_LETTER_QUEUE))
        with broker_errors():
            await walk.prepare()
        stopping = asyncio.create_task(_stop_when(stop, walk))
        try:
            yield walk
        finally:
            stopping.cancel()
        await walk.end(watching)
    finally:
        await close(connection)


async def _stop_when(stop: asyncio.Event, walk: Walk) -> None:
    await stop.wait()
    walk.stop()
