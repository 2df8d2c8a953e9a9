"""Publish dead letters, with the reason, and stop a worker that would publish too many."""

from datetime import UTC, datetime

import aio_pika
from aio_pika.abc import AbstractConnection

from ingest.contract.message import CONTENT_TYPE
from ingest.contract.topology import DEAD_LETTER_EXCHANGE, ROUTING_KEY
from ingest.runtime.broker import (
    CONNECT_TIMEOUT_S,
    broker_errors,
    close,
    connect,
    declare_topology,
)
from worker import telemetry
from worker.prepare import DeadLetter

_WINDOW_ENTRIES = 1000
# So few are tolerated whatever their share: a queue may hold little else.
_TOLERATED = 20


class GaveUpError(Exception):
    """The worker must not go on, for a reason that an operator must see to."""


class DeadLetterLimit:
    """Watch the share of dead letters among the last entries.

    A release that cannot read what is on the queue must not empty it into the dead letters.
    """

    def __init__(self, max_percent: int) -> None:
        self._max_share = max_percent / 100
        self._applied = 0.0
        self._dead = 0.0

    def count(self, applied: int, dead: int) -> None:
        """Count entries that were applied and entries about to be dead-lettered.

        Raises:
            GaveUpError: too many of the last entries would be dead letters.
        """
        self._applied += applied
        self._dead += dead
        total = self._applied + self._dead
        if total > _WINDOW_ENTRIES:  # older entries fade
            self._applied *= _WINDOW_ENTRIES / total
            self._dead *= _WINDOW_ENTRIES / total
        total = min(total, _WINDOW_ENTRIES)
        if dead and self._dead > max(_TOLERATED, self._max_share * total):
            raise GaveUpError(
                f"{self._dead:.0f} of the last {total:.0f} would be dead letters: this "
                "release cannot read the queue, or the database refuses everything; the messages "
                "stay on the queue (WORKER_MAX_DEAD_LETTER_PERCENT=100 lets them go)"
            )


class DeadLetterPublisher:
    """Publish dead letters over a connection made for the purpose: there should be few."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def publish(self, letters: list[DeadLetter]) -> None:
        """Publish dead letters, with confirms; only then may their messages be acked.

        Raises:
            BrokerError: not all were confirmed; publish them all again.
        """
        connection = await connect(self._url, "worker-dead-letters")
        try:
            with broker_errors():
                await self._publish(connection, letters)
        finally:
            await close(connection)

    async def _publish(self, connection: AbstractConnection, letters: list[DeadLetter]) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await declare_topology(channel)
        exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE.name, ensure=False)
        for letter in letters:
            message = aio_pika.Message(
                letter.body,
                content_type=CONTENT_TYPE,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                timestamp=datetime.now(UTC),
                headers={
                    "reason": letter.reason,
                    "detail": letter.detail,
                    "resourceGroup": letter.resource_group,
                    "executionId": letter.execution_id,
                },
            )
            await exchange.publish(message, ROUTING_KEY, timeout=CONNECT_TIMEOUT_S)
            telemetry.DEAD_LETTERS.labels(letter.reason).inc()
