"""The backlog: deliveries that wait to be applied, and when some of them make a batch."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aiormq.abc import AbstractChannel

from ingest.contract.compression import decompressed_bytes
from ingest.runtime.broker import CONNECT_TIMEOUT_S, BrokerError, broker_errors
from worker import telemetry

# What is not worth a batch waits so long for a batch in flight.
_PATIENCE_S = 1.0
# It begins no sooner than this after the batch before it began.
_PACE_S = 0.01
# The event loop's clock may stand still for that long, and its timeouts come as much too early.
_CLOCK_STEP_S = 0.001


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message with what is needed to ack it."""

    body: bytes
    tag: int
    channel: AbstractChannel
    give_up: Callable[[], None]

    @property
    def message_bytes(self) -> int:
        """How large the message is once it is decompressed."""
        try:
            return decompressed_bytes(self.body)
        except ValueError:  # it will be a dead letter
            return len(self.body)

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


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """See the settings of the same names."""

    max_batch_messages: int
    max_batch_bytes: int
    batches_in_flight: int


class Backlog:
    """Deliveries in the order in which they came, taken in batches.

    A batch costs the same, however little it is. So it should be worth it: half of what it may
    hold. An idle worker takes at once what is there all the same; but one that is not worth it
    begins some milliseconds after the one before, and not beside one that is being applied. Nothing
    waits longer than a second for that one, which may be stuck.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        # Each with its bytes, and since when it waits.
        self._waiting: deque[tuple[Delivery, int, float]] = deque()
        self._waiting_bytes = 0
        self._in_flight = 0
        self._began = -math.inf  # the latest batch, by the event loop's clock
        self._changed = asyncio.Event()
        self._clock = asyncio.get_running_loop().time

    def add(self, delivery: Delivery) -> None:
        """Let a delivery wait."""
        size = delivery.message_bytes
        self._waiting.append((delivery, size, self._clock()))
        self._waiting_bytes += size
        self._changed.set()

    def forget(self, channel: AbstractChannel) -> None:
        """Drop the deliveries of a channel that is gone: they will come again."""
        self._waiting = deque(one for one in self._waiting if one[0].channel is not channel)
        self._waiting_bytes = sum(size for _, size, _ in self._waiting)

    async def take(self) -> list[Delivery]:
        """Wait until there is a batch; then it is in flight, until `done` is called."""
        while (due_in_s := self._due_in_s()) is None or due_in_s > _CLOCK_STEP_S:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(due_in_s):
                    await self._changed.wait()
        self._in_flight += 1
        self._began = self._clock()
        batch: list[Delivery] = []
        size = 0
        limits = self._limits
        while self._waiting and len(batch) < limits.max_batch_messages:
            if size >= limits.max_batch_bytes:
                break
            delivery, of_delivery, _ = self._waiting.popleft()
            batch.append(delivery)
            size += of_delivery
        self._waiting_bytes -= size
        return batch

    def done(self) -> None:
        """Note that a batch is no longer in flight."""
        self._in_flight -= 1
        self._changed.set()

    def _due_in_s(self) -> float | None:
        """Return in how many seconds there is a batch if nothing changes; None for never."""
        limits = self._limits
        if not self._waiting or self._in_flight >= limits.batches_in_flight:
            return None
        if (
            2 * len(self._waiting) >= limits.max_batch_messages
            or 2 * self._waiting_bytes >= limits.max_batch_bytes
        ):
            return 0.0
        if self._in_flight:
            return self._waiting[0][2] + _PATIENCE_S - self._clock()
        return self._began + _PACE_S - self._clock()
