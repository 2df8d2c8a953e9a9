"""Apply a batch: decode, merge, write, and only then ack.

Three things can happen to a batch. It is written. The database is away: the same writes are
tried again for as long as it takes, since the queue is the buffer and a nack would only burn the
delivery limit. The database refuses it: then its messages are applied one by one, and those that
are still refused entry by entry; an entry that is refused alone becomes a dead letter.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from ingest.runtime.backoff import backoff_s
from ingest.runtime.broker import BrokerError
from ingest.runtime.tracing import Tracing
from worker import telemetry
from worker.backlog import Delivery
from worker.compaction.background import Compactor
from worker.dead_letters import DeadLetterLimit, DeadLetterPublisher
from worker.prepare import NONSENSE, DeadLetter, Unit, decode, prepare
from worker.store import RefusedError, Store, TryLaterError

if TYPE_CHECKING:
    from worker.traced import BatchSpans

log = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 5.0


class Applier:
    """Apply batches of deliveries. Several batches may be applied at the same time."""

    def __init__(
        self,
        store: Store,
        dead_letters: DeadLetterPublisher,
        limit: DeadLetterLimit,
        compactor: Compactor,
        tracing: Tracing | None = None,
    ) -> None:
        self._store = store
        self._compactor = compactor
        self._dead_letters = dead_letters
        self._limit = limit
        self._tracing = tracing

    async def apply(self, batch: list[Delivery]) -> None:
        """Apply a batch and ack its deliveries. Ends when all is stored or dead-lettered.

        Raises:
            GaveUpError: too many entries would be dead letters. Nothing was acked.
        """
        started = time.perf_counter()
        spans = None if self._tracing is None else _spans(self._tracing, batch)
        units: list[Unit] = []
        dead: list[DeadLetter] = []
        for delivery in batch:
            unit, letters = decode(delivery.body)
            dead += letters
            if unit is not None:
                units.append(unit)
        refused = await self._write(units)
        dead += refused
        entries = sum(len(unit.updates) for unit in units) - len(refused)
        self._limit.count(entries, len(dead))
        if dead:
            await self._publish(dead)
        for delivery in batch:
            await delivery.ack()
        if spans is not None:
            spans.end()
        if entries:
            _report(units, entries, time.perf_counter() - started)

    async def _write(self, units: list[Unit]) -> list[DeadLetter]:
        """Write units together; if that is refused, one by one. Returns what stays refused."""
        try:
            await self._write_until_stored(units)
        except RefusedError as error:
            if len(units) > 1:
                parts = [[unit] for unit in units]
            elif len(units[0].updates) > 1:
                parts = [[unit] for unit in units[0].alone()]
            else:
                return [units[0].dead_letter("refused", str(error))]
            return [letter for part in parts for letter in await self._write(part)]
        return []

    async def _write_until_stored(self, units: list[Unit]) -> None:
        """Write units; while the database is away, try again.

        Raises:
            RefusedError: the database will never take them as they are.
        """
        try:
            writes = prepare(units)
        except NONSENSE as error:
            raise RefusedError(f"{type(error).__name__}: {error}"[:500]) from error
        failures = 0
        while True:
            try:
                telemetry.DUPLICATE_SEGMENTS.inc(await self._store.apply(writes))
            except TryLaterError as error:
                failures += 1
                telemetry.DATABASE_FAILURES.labels(error.kind).inc()
                await _pause(failures, "the database did not take a batch", error)
            else:
                self._compactor.note(writes.last)
                return

    async def _publish(self, letters: list[DeadLetter]) -> None:
        for letter in letters:
            # Without the detail, which may quote a value: that is for `dead-letters show`.
            log.error(
                "dead-lettered",
                extra={
                    "reason": letter.reason,
                    "resourceGroup": letter.resource_group,
                    "executionId": letter.execution_id,
                },
            )
        failures = 0
        while True:
            try:
                await self._dead_letters.publish(letters)
            except BrokerError as error:
                failures += 1
                await _pause(failures, "dead letters were not confirmed", error)
            else:
                return


def _spans(tracing: Tracing, batch: list[Delivery]) -> "BatchSpans":
    # Here, since it imports OpenTelemetry, which need not be installed.
    from worker.traced import BatchSpans  # noqa: PLC0415

    return BatchSpans(tracing, (delivery.body for delivery in batch))


async def _pause(failures: int, what: str, error: Exception) -> None:
    pause = backoff_s(failures, BACKOFF_MIN_S, BACKOFF_MAX_S)
    log.warning(
        "trying again",
        extra={
            "failed": what,
            "reason": str(error)[:300],
            "failures": failures,
            "pause_s": round(pause, 2),
        },
    )
    await asyncio.sleep(pause)


def _report(units: list[Unit], entries: int, duration_s: float) -> None:
    telemetry.ENTRIES_APPLIED.inc(entries)
    telemetry.BATCH_ENTRIES.observe(entries)
    telemetry.BATCH_SECONDS.observe(duration_s)
    oldest = min(one.sequence for unit in units for one in unit.updates)
    telemetry.ENTRY_AGE_SECONDS.observe(max(0.0, (time.time_ns() - oldest) / 1e9))
