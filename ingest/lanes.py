"""The publisher's lanes: one to each queue of updates, over one connection.

The queues share no leader, so one may be full, gone or silent while others work. A lane that fails
is left alone until something is confirmed on it, at the latest a probe, and messages take others.
When none works all are used: then what they answer is all that is known.

Each lane has a channel of its own: RabbitMQ lets a channel wait for its slowest queue.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, cast

from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq import Channel
from pamqp.commands import Basic

from ingest import telemetry
from ingest.contract.message import CONTENT_TYPE
from ingest.contract.topology import Queue
from ingest.runtime.broker import (
    CONNECT_TIMEOUT_S,
    BrokerError,
    broker_errors,
    declare_queue,
)

log = logging.getLogger(__name__)

# A lane that does not confirm a message for this long gets no other for now.
_PATIENCE_S = 1.0
# Between two attempts to mend a lane.
_MEND_PAUSE_S = 1.0
# How often in a row a queue may confirm on a new channel and, right after it, not on its lane's:
# once is chance. RabbitMQ 3.10 refuses all that comes over a channel it has refused something on
# until the queue is below its length limit: for ever, if the limit was removed.
_MOST_STUCK = 1


class Lane:
    """The way to one queue, and how that did lately."""

    def __init__(self, queue: Queue, channel: Channel, lanes: "Lanes") -> None:
        self.queue = queue
        self.works = False
        self.in_flight = 0
        """Messages that wait for their confirm. Whoever publishes counts them."""
        self._channel = channel
        self._lanes = lanes
        self._confirmed = telemetry.CONFIRMED_MESSAGES.labels(queue.name)

    async def publish(self, message_id: bytes, body: bytes, deadline: float) -> None:
        """Publish a message and wait for the confirm, until a time of the event loop's clock.

        Raises:
            BrokerError: no confirm; QueueRefusedError, QueueGoneError: the message is not there.
        """
        properties = Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=message_id.hex(),
        )
        late = asyncio.get_running_loop().call_later(_PATIENCE_S, self._lanes.note_late, self)
        try:
            with broker_errors():
                async with asyncio.timeout_at(deadline):
                    await self._channel.basic_publish(
                        body,
                        exchange=self.queue.exchange.name,
                        routing_key=self.queue.routing_key,
                        properties=properties,
                        mandatory=True,
                        wait=False,  # for the write: the confirm comes after it
                    )
        finally:
            late.cancel()
        self._confirmed.inc()
        self.works = True

    @property
    def connection_lost(self) -> asyncio.Event:
        """Set when the connection that it belongs to turns out to be useless."""
        return self._lanes.lost

    def give_way(self) -> bool:
        """Be left alone, since it failed; tells whether others work, so that it can be."""
        return self._lanes.distrust(self)


Probe = Callable[[Lane], Awaitable[None]]
"""Has a queue confirm a message that workers ignore; raises BrokerError if it does not."""

Spawn = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]


class Lanes:
    """All lanes of one connection. Their queues must have been declared."""

    def __init__(
        self,
        connection: AbstractConnection,
        lost: asyncio.Event,
        max_in_flight: int,
        probe: Probe,
        on_change: Callable[[], None],
        spawn: Spawn,
    ) -> None:
        """Allow so many messages in flight on each lane; `spawn` starts a task.

        `lost` is set when the connection turns out to be useless. `on_change` is called when
        what waited for one lane may take another.
        """
        self._connection = connection
        self.lost = lost
        self._max_in_flight = max_in_flight
        self._probe = probe
        self._on_change = on_change
        self._spawn = spawn
        # In the order of their turns.
        self._lanes: list[Lane] = []
        self._mending: set[Lane] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def open(self, queues: Iterable[Queue]) -> None:
        """Open the lanes; return once one of them works. The others follow when they do.

        Raises:
            BrokerError: none works.
        """
        for queue in queues:
            channel = await self._open_channel()
            channel.close_callbacks.add(lambda *_: self.lost.set())
            self._lanes.append(await self._lane(queue, channel))
        attempts = [self._start(self._try(lane)) for lane in self._lanes]
        reason = ""
        for attempt in asyncio.as_completed(attempts):
            reason = await attempt
            if not reason:
                return
        raise BrokerError(f"the queue does not confirm: {reason}")

    def close(self) -> None:
        """Stop mending, for good: what is still in flight may fail only now."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    @property
    def in_flight(self) -> int:
        """Count the messages that wait for their confirm."""
        return sum(lane.in_flight for lane in self._lanes)

    @property
    def working(self) -> int:
        """Count the lanes that work."""
        return sum(lane.works for lane in self._lanes)

    def is_waiting(self) -> bool:
        """Tell whether any message waits for its confirm on a lane that is in use."""
        return any(lane.in_flight for lane in self._in_use())

    def take(self) -> Lane | None:
        """Count a message on the lane with the fewest; None if each has as many as it may."""
        lane = min(self._in_use(), key=lambda one: one.in_flight)
        return self._count(lane) if lane.in_flight < self._max_in_flight else None

    def take_other(self, failed: Lane) -> Lane | None:
        """Count a message on another lane that works, beyond the limit if need be; None if none."""
        others = [lane for lane in self._lanes if lane.works and lane is not failed]
        return self._count(min(others, key=lambda one: one.in_flight)) if others else None

    def note_late(self, lane: Lane) -> None:
        """Let others take what a late lane would get, if there are any."""
        if len(self._lanes) > 1:
            self.distrust(lane)

    def distrust(self, lane: Lane) -> bool:
        """Mend a lane that has failed; tells whether others work, so that it can be left alone."""
        others_work = any(one.works for one in self._lanes if one is not lane)
        if lane.works:
            lane.works = False
            log.warning(
                "a queue does not confirm", extra={"queue": lane.queue.name, "others": others_work}
            )
            self._mend(lane)
            self._on_change()
        return others_work

    def _in_use(self) -> list[Lane]:
        return [lane for lane in self._lanes if lane.works] or self._lanes

    def _count(self, lane: Lane) -> Lane:
        lane.in_flight += 1
        # Of those with equally many, the one whose turn was longest ago is the next.
        self._lanes.remove(lane)
        self._lanes.append(lane)
        return lane

    async def _try(self, lane: Lane) -> str:
        """Probe a lane for the first time; returns what is wrong with it, if anything."""
        try:
            await self._probe(lane)
        except BrokerError as error:
            self._mend(lane)
            return str(error)
        return ""

    def _mend(self, lane: Lane) -> None:
        if not self._closed and lane not in self._mending:
            self._mending.add(lane)
            self._start(self._mend_until_it_works(lane))

    async def _mend_until_it_works(self, lane: Lane) -> None:
        stuck = 0
        try:
            while not lane.works:
                await asyncio.sleep(_MEND_PAUSE_S)
                if self._closed:  # and the cancellation was lost in a library
                    return
                anew = await self._confirms_anew(lane.queue)
                with suppress(BrokerError):
                    await self._probe(lane)
                stuck = stuck + 1 if anew and not lane.works else 0
                if stuck > _MOST_STUCK:
                    log.warning("a channel is stuck", extra={"queue": lane.queue.name})
                    self.lost.set()
                    return
            log.info("a queue confirms again", extra={"queue": lane.queue.name})
        finally:
            self._mending.discard(lane)

    async def _confirms_anew(self, queue: Queue) -> bool:
        """Declare a queue, should it be gone, and probe it, both on a new channel.

        A broker that does not even open one ends the connection.
        """
        try:
            with broker_errors():
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    channel = await self._open_channel()
        except BrokerError:
            self.lost.set()
            return False
        try:
            with broker_errors():
                async with channel:
                    await declare_queue(channel, queue)
                    await self._probe(await self._lane(queue, channel))
        except BrokerError:
            return False
        return True

    async def _open_channel(self) -> AbstractChannel:
        return await self._connection.channel(publisher_confirms=True, on_return_raises=True)

    async def _lane(self, queue: Queue, channel: AbstractChannel) -> Lane:
        underlay = cast("Channel", await channel.get_underlay_channel())
        return Lane(queue, underlay, self)

    def _start(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = self._spawn(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
