"""The worker put together: how it starts, how it works, how it drains."""

import asyncio
import logging

from ingest.runtime.database import open_client
from ingest.runtime.operations import operations_server
from ingest.runtime.process import leaves
from ingest.runtime.tracing import tracing_from
from worker.apply import Applier
from worker.backlog import Backlog, BatchLimits, Delivery
from worker.compaction.background import Compactor
from worker.compaction.store import CompactionStore
from worker.consumer import Consumer
from worker.dead_letters import DeadLetterLimit, DeadLetterPublisher, GaveUpError
from worker.settings import WorkerSettings
from worker.store import Store, TryLaterError

log = logging.getLogger(__name__)

# A batch waits for the database as long as it takes: a failed attempt only costs a log line.
DATABASE_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 30.0
_START_PAUSE_S = 0.2


class Worker:
    """The worker's parts, made from its settings."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._client = open_client(
            settings.mongodb_url,
            "worker",
            DATABASE_TIMEOUT_S,
            WRITE_TIMEOUT_S,
            retry_writes=False,  # a batch is tried again as a whole, which costs the server nothing
        )
        self._store = Store(self._client[settings.mongodb_database])
        self._backlog = Backlog(
            BatchLimits(
                min(settings.max_batch_messages, settings.prefetch_messages),  # no more can wait
                settings.max_batch_bytes,
                settings.batches_in_flight,
            )
        )
        self._consumer = Consumer(
            settings.amqp_url, settings.prefetch_messages, settings.update_queues, self._backlog
        )
        self._compactor = Compactor(
            CompactionStore(self._client[settings.mongodb_database]),
            settings.compact_after_segments,
        )
        self._tracing = tracing_from(settings.traces_url, "worker", 0)
        self._applier = Applier(
            self._store,
            DeadLetterPublisher(settings.amqp_url),
            DeadLetterLimit(settings.max_dead_letter_percent),
            self._compactor,
            self._tracing,
        )
        self._prepared = False
        self._draining = False
        self._gave_up = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain.

        Raises:
            OSError: the operations port cannot be bound.
        """
        settings = self._settings
        async with operations_server(
            settings.ops_host, settings.ops_port, self._not_ready, "WORKER_OPS_PORT"
        ) as ops_port:
            log.info("started", extra={"ops_port": ops_port})
            try:
                await self._work(stop)
            except* GaveUpError as group:
                self._gave_up = "; ".join(str(error) for error in leaves(group))
            if self._gave_up:
                # Not by ending: the next start would find the same messages, and each start
                # lets some of them go.
                log.error("stopped working", extra={"reason": self._gave_up})
                await stop.wait()
        self._client.close()
        if self._tracing is not None:
            await self._tracing.close()
        log.info("stopped")

    async def _work(self, stop: asyncio.Event) -> None:
        """Consume and apply until told to stop; then finish the batches in flight."""
        drain_timeout_s = self._settings.drain_timeout_s
        async with asyncio.TaskGroup() as outer:
            consuming = outer.create_task(self._consumer.run())
            compacting = outer.create_task(self._compactor.run())
            try:
                async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as batches:
                    taking = batches.create_task(self._take_batches(batches))
                    await stop.wait()
                    self._draining = True
                    compacting.cancel()  # in a transaction, which then never was
                    log.info("draining", extra={"timeout_s": drain_timeout_s})
                    limit.reschedule(asyncio.get_running_loop().time() + drain_timeout_s)
                    taking.cancel()
                    await self._consumer.stop()
            except TimeoutError:
                log.warning("drain timeout: what is unfinished will be delivered again")
            finally:
                compacting.cancel()
                consuming.cancel()  # only now: the batches needed it for their acks

    async def _take_batches(self, tasks: asyncio.TaskGroup) -> None:
        """Take batches for ever."""
        await self._prepare()
        while True:
            tasks.create_task(self._apply(await self._backlog.take()))

    async def _apply(self, batch: list[Delivery]) -> None:
        try:
            await self._applier.apply(batch)
        finally:
            self._backlog.done()

    async def _prepare(self) -> None:
        while not self._prepared:
            try:
                await self._store.prepare()
                self._prepared = True
            except TryLaterError as error:
                log.warning("the database is away", extra={"reason": str(error)[:300]})
                await asyncio.sleep(_START_PAUSE_S)

    def _not_ready(self) -> list[str]:
        if self._gave_up:
            return [self._gave_up]
        if self._draining:
            return ["draining"]
        missing = {"broker": self._consumer.connected, "database": self._prepared}
        return [name for name, there in missing.items() if not there]
