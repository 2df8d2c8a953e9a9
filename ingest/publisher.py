"""The publisher: group commit onto the queue.

A request's entry joins the group that is being collected. A group is published as soon as no
message waits for its confirm, or, if it is large enough to be worth a message, while fewer than
`max_messages_in_flight` do on one of the queues. So an idle gateway publishes at once, and a busy
one puts everything that arrives during a confirm into the next message: one confirm answers many
requests. Publishing a message costs both gateway and broker as much as several small updates.
There is no linger.

What can go wrong ends in one answer: PublishError, 503, nothing promised. While there is no
working connection the breaker is open and submitting fails at once. A connection counts as
working once a probe, a message without entries, was confirmed by a queue itself: a broker in
alarm accepts connections but confirms nothing. Which of several queues a message takes is for
`lanes`; one that a queue did not take is published on another.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection

from ingest import telemetry
from ingest.budget import Budget
from ingest.contract.compression import Compressor
from ingest.contract.topology import updates_queues
from ingest.group import Group
from ingest.lanes import Lane, Lanes
from ingest.runtime.broker import (
    BrokerError,
    QueueGoneError,
    QueueRefusedError,
    declare_topology,
    keep_connected,
)
from ingest.sequence import SequenceSource
from ingest.visibility import Unseen

log = logging.getLogger(__name__)


# A group of this size is worth a message of its own while others still wait for their confirm.
_WORTH_ENTRIES = 32
_WORTH_BYTES = 64 * 1024


class PublishError(Exception):
    """The update could not be made durable now; nothing was promised."""


@dataclass(frozen=True, slots=True)
class PublisherLimits:
    """See the settings of the same names."""

    max_group_bytes: int
    max_group_entries: int
    max_messages_in_flight: int
    confirm_timeout_s: float
    update_queues: int


class Publisher:
    """Publish entries in groups, with confirms."""

    def __init__(
        self,
        url: str,
        limits: PublisherLimits,
        pending: Budget,
        sequences: SequenceSource,
        unseen: Unseen,
        origin: bytes,
    ) -> None:
        """Make a publisher; `pending` is the budget of bytes that wait for their confirm.

        Whoever submits has reserved them there: before the update is parsed, which costs far more
        than to refuse it.
        """
        self._url = url
        self._limits = limits
        self.pending = pending
        self._sequences = sequences
        self._unseen = unseen
        self._origin = origin
        self._lanes: Lanes | None = None
        self._connection_lost = asyncio.Event()
        self._answered_at = -math.inf
        self._groups: deque[Group] = deque()
        self._pump_scheduled = False
        self._loop = asyncio.get_running_loop()
        self._tasks = asyncio.TaskGroup()
        self._compressor = Compressor()
        telemetry.MESSAGES_IN_FLIGHT.set_function(
            lambda: 0 if self._lanes is None else self._lanes.in_flight
        )
        telemetry.WORKING_QUEUES.set_function(
            lambda: 0 if self._lanes is None else self._lanes.working
        )
        telemetry.BROKER_CONNECTED.set_function(lambda: self.connected)

    @property
    def connected(self) -> bool:
        """Whether the breaker is closed: a queue has confirmed something on this connection."""
        return self._lanes is not None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep connected inside the block. On leaving, what is in flight must have ended."""
        async with self._tasks:
            link = self._tasks.create_task(keep_connected(self._url, "ingest", self._use))
            try:
                yield
            finally:
                link.cancel()

    async def submit(self, key: str, sequence: int, entries: list[bytes]) -> None:
        """Make the entries of one update durable.

        Returns only once the broker has confirmed that all of them are on the durable queue.

        Raises:
            PublishError: no broker, no confirm in time, or the queue refused a message.
        """
        if self._lanes is None:
            raise PublishError("no working connection to the broker")
        waiters = []
        for entry in entries:
            waiters.append(self._loop.create_future())
            self._open_group(len(entry)).add(key, sequence, entry, waiters[-1])
        if not self._pump_scheduled:
            # After the requests that this turn of the loop still reads: they join the group.
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)
        await (waiters[0] if len(waiters) == 1 else asyncio.gather(*waiters))

    def _open_group(self, size: int) -> Group:
        limits = self._limits
        last = self._groups[-1] if self._groups else None
        if (
            last is None
            or len(last) >= limits.max_group_entries
            or last.bytes + size > limits.max_group_bytes
        ):
            last = self._new_group()
            self._groups.append(last)
        return last

    def _new_group(self) -> Group:
        deadline = self._loop.time() + self._limits.confirm_timeout_s
        return Group(self._sequences.next(), self._origin, deadline)

    def _pump(self) -> None:
        self._pump_scheduled = False
        now = self._loop.time()
        while self._groups and self._groups[0].deadline <= now:
            self._groups.popleft().fail(PublishError("the broker is too slow"))
        lanes = self._lanes
        while (
            self._groups
            and lanes is not None
            and (not lanes.is_waiting() or _is_worth_a_message(self._groups[0]))
            and (lane := lanes.take()) is not None
        ):
            self._tasks.create_task(self._commit(self._groups.popleft(), lane))

    async def _commit(self, group: Group, lane: Lane) -> None:
        """Publish one group and tell its requests how it went. It is counted on the lane."""
        error: Exception = PublishError("the gateway was stopped")
        started = self._loop.time()
        try:
            await self._publish_somewhere(group, lane)
        except PublishError as refused:
            error = refused
        except Exception:  # a bug, here or in a library, must not end all that is in flight
            log.exception("a message could not be published by a bug")
            error = PublishError("an internal error occurred")
            self._lose_connection()
        else:
            telemetry.CONFIRM_SECONDS.observe(self._loop.time() - started)
            telemetry.GROUP_ENTRIES.observe(len(group))
            self._unseen.add(group.id, group.resources)
            group.confirm()
        finally:
            group.fail(error)  # whoever was not told yet, also when this task is cancelled
            self._pump()

    async def _publish_somewhere(self, group: Group, lane: Lane) -> None:
        """Publish on a lane, on which the group is counted; if its queue takes nothing, on another.

        The message is the same each time: should two queues hold it, it is applied once.

        Raises:
            PublishError: no confirm.
        """
        body = self._compressor.compress(group.message())
        while True:
            try:
                await self._publish(group, body, lane)
            except (QueueRefusedError, QueueGoneError) as error:
                other = None if self._lanes is None else self._lanes.take_other(lane)
                if other is None:
                    raise PublishError(str(error)) from error
            else:
                return
            finally:
                lane.in_flight -= 1
            lane = other

    async def _publish(self, group: Group, body: bytes, lane: Lane) -> None:
        """Publish and wait for the confirm, within the group's deadline.

        Raises:
            QueueRefusedError, QueueGoneError: the queue did not take it. A lane that has others
                beside it is left alone; else a queue that is gone is declared again by a new
                connection.
            PublishError: no confirm. The connection is given up if it seems to be dead, blocked
                by an alarm, or without the exchange.
        """
        lose = False
        try:
            await lane.publish(group.id, body, group.deadline)
        except (QueueRefusedError, QueueGoneError) as error:
            self._answered_at = self._loop.time()
            self._count_failure(error)
            lose = not lane.give_way() and isinstance(error, QueueGoneError)
            raise
        except BrokerError as error:
            self._count_failure(error)
            slow = isinstance(error.__cause__, TimeoutError)
            # A broker that is only slow still answers others: then the connection is kept.
            silent_s = self._loop.time() - self._answered_at
            silent = not lane.give_way() and silent_s >= self._limits.confirm_timeout_s
            lose = silent or not slow
            why = "the broker did not confirm in time" if slow else str(error)
            raise PublishError(why) from error
        finally:
            if lose and self._connection_lost is lane.connection_lost:  # not an earlier one
                self._lose_connection()
        self._answered_at = self._loop.time()

    def _count_failure(self, error: BrokerError) -> None:
        telemetry.PUBLISH_FAILURES.labels(type(error.__cause__).__name__).inc()
        log.warning("a message was not confirmed", extra={"reason": str(error)})

    async def _use(self, connection: AbstractConnection) -> None:
        """Use one connection until it is lost (see broker.keep_connected)."""
        self._connection_lost = lost = asyncio.Event()
        self._answered_at = -math.inf  # so that a probe without a confirm ends the connection
        connection.close_callbacks.add(lambda *_: lost.set())
        queues = updates_queues(self._limits.update_queues)
        async with connection.channel(publisher_confirms=False) as channel:
            await declare_topology(channel, queues)
        lanes = Lanes(
            connection,
            lost,
            self._limits.max_messages_in_flight,
            self._probe,
            self._pump,
            self._tasks.create_task,
        )
        try:
            await lanes.open(queues)
            self._lanes = lanes
            await lost.wait()
        finally:
            self._lanes = None
            lanes.close()
            error = PublishError("the connection to the broker was lost")
            while self._groups:
                self._groups.popleft().fail(error)

    async def _probe(self, lane: Lane) -> None:
        """Have a queue confirm a message without entries, which workers ignore."""
        group = self._new_group()
        try:
            await self._publish(group, group.message(), lane)
        except PublishError as error:
            raise BrokerError(str(error.__cause__)) from error

    def _lose_connection(self) -> None:
        """Open the breaker: the connection's user ends, and keep_connected makes a new one."""
        self._lanes = None
        self._connection_lost.set()


def _is_worth_a_message(group: Group) -> bool:
    return len(group) >= _WORTH_ENTRIES or group.bytes >= _WORTH_BYTES
