"""The gateway put together: what is made from what, how it starts, how it drains."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import Gauge

from ingest import telemetry
from ingest.access import Permission, access_from
from ingest.body import BodyReader
from ingest.budget import Budget
from ingest.connections import (
    BACKLOG,
    ConnectionLimits,
    GatewayServer,
    connections_within_open_files,
)
from ingest.contract.parse import UpdateParser
from ingest.cors import with_cors
from ingest.deletion import DeletionEndpoint
from ingest.dispatch import DOCS_PATH, METRICS_PATH, OPENAPI_PATH, Dispatcher, Endpoint
from ingest.openapi.document import build_document
from ingest.openapi.endpoint import DocumentEndpoint
from ingest.openapi.page import page_endpoints
from ingest.publisher import Publisher, PublisherLimits
from ingest.query import QueryEndpoint
from ingest.rate import RateLimit
from ingest.read import ReadBudgets, Reader
from ingest.runtime.database import DATABASE_ERRORS, open_client, prepare_database, why_away
from ingest.runtime.operations import operations_server
from ingest.runtime.tracing import tracing_from
from ingest.sequence import SequenceSource
from ingest.settings import GatewaySettings
from ingest.store import Store
from ingest.update import UpdateEndpoint
from ingest.visibility import Unseen

log = logging.getLogger(__name__)

# A read that finds no database fails after this: a client's own timeout is seldom longer.
DATABASE_TIMEOUT_S = 3.0
# And one that finds a silent database, after this.
READ_TIMEOUT_S = 10.0
_ORIGIN_BYTES = 4
_START_PAUSE_S = 0.1
_SHORTEST_DRAIN_S = 0.001
# From the end of listening until connections without a request are closed.
_LAST_REQUESTS_S = 0.2
# An idle connection is closed after this: longer than the usual proxy's, so that the proxy's
# side closes first and no request is lost on its way.
_KEEPALIVE_S = 75.0
# The longest tagFilters, percent-encoded twice.
_MAX_LINE_BYTES = 48 * 1024


class Gateway:
    """The gateway's parts, made from its settings."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._sequences = SequenceSource()
        self._unseen = Unseen()
        client = open_client(settings.mongodb_url, "ingest", DATABASE_TIMEOUT_S, READ_TIMEOUT_S)
        self._client = client
        self._store = Store(client, settings.mongodb_database)
        self._publisher = Publisher(
            settings.amqp_url,
            PublisherLimits(
                min(settings.max_group_bytes, settings.max_message_bytes),
                settings.max_group_entries,
                settings.max_messages_in_flight,
                settings.confirm_timeout_s,
                settings.update_queues,
            ),
            self._budget(
                "bytes of updates pending", settings.max_pending_bytes, telemetry.PENDING_BYTES
            ),
            self._sequences,
            self._unseen,
            secrets.token_bytes(_ORIGIN_BYTES),
        )
        self._tracing = tracing_from(settings.traces_url, "ingest", settings.traces_percent)
        self._access = access_from(settings)
        # What was never reached; afterwards a loss is answered with 503, not by going away:
        # all gateways lose a broker together.
        self._missing = {"broker", "database"} | (set() if self._access.ready else {"keys"})
        self._draining = False

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain.

        Raises:
            OSError: a port cannot be bound; the message names the setting.
        """
        settings = self._settings
        async with (
            self._publisher.running(),
            self._access.running(),
            self._watching_start(),
            operations_server(
                settings.host, settings.ops_port, self._not_ready, "INGEST_OPS_PORT"
            ) as ops_port,
            self._listening() as port,
        ):
            log.info(
                "listening",
                extra={
                    "host": settings.host,
                    "port": port,
                    "ops_port": ops_port,
                    "auth": settings.auth,
                },
            )
            await stop.wait()
            self._draining = True
            log.info("draining", extra={"timeout_s": settings.drain_timeout_s})
        self._client.close()
        if self._tracing is not None:
            await self._tracing.close()
        log.info("stopped")

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[int]:
        """Serve clients inside the block; leaving it drains: no new requests, the old end."""
        settings = self._settings
        server = GatewayServer(
            with_cors(self._dispatcher(), settings.cors_origins),
            ConnectionLimits(
                connections_within_open_files(settings.max_connections),
                settings.header_timeout_s,
                settings.stall_timeout_s,
            ),
            auto_decompress=False,  # body.py does it, within the limit
            access_log=None,
            keepalive_timeout=_KEEPALIVE_S,
            max_line_size=_MAX_LINE_BYTES,
        )
        # aiohttp takes 0 for no limit at all.
        drain_timeout_s = max(settings.drain_timeout_s, _SHORTEST_DRAIN_S)
        runner = web.ServerRunner(server, shutdown_timeout=drain_timeout_s)
        await runner.setup()
        async with server.checked():
            try:
                site = web.TCPSite(
                    runner,
                    settings.host,
                    settings.port,
                    backlog=BACKLOG,
                    reuse_port=settings.reuse_port == "yes",
                )
                try:
                    await site.start()
                except OSError as error:
                    raise OSError(f"INGEST_PORT: {error.strerror or error}") from error
                yield runner.addresses[0][1]
                await server.accept_waiting()
                await site.stop()
                # For those that came last: aiohttp closes a connection that has no request yet.
                await asyncio.sleep(min(_LAST_REQUESTS_S, settings.drain_timeout_s))
            finally:
                await runner.cleanup()

    def _budget(self, what: str, limit: int, gauge: Gauge) -> Budget:
        """Make a budget, with a resource group's share of it, and show its use in a gauge."""
        share = limit * self._settings.group_share_percent // 100
        budget = Budget(what, limit, share)
        gauge.set_function(lambda: budget.used)
        return budget

    def _dispatcher(self) -> Dispatcher:
        settings = self._settings
        max_reads = settings.max_reads
        budgets = ReadBudgets(
            self._budget("reads waiting", max_reads, telemetry.WAITING_READS),
            self._budget("reads in progress", max_reads, telemetry.READS),
            self._budget(
                "bytes of points in reads", settings.max_reading_bytes, telemetry.READING_BYTES
            ),
        )
        reader = Reader(self._store, self._unseen, settings.read_wait_s, budgets)
        receiving = self._budget(
            "bytes of bodies on their way in",
            settings.max_receiving_bytes,
            telemetry.RECEIVING_BYTES,
        )
        tracing = self._tracing
        update: Endpoint = UpdateEndpoint(
            UpdateParser(settings.max_custom_info_value_chars),
            BodyReader(settings.max_body_bytes, receiving, settings.body_timeout_s),
            self._publisher,
            self._sequences,
            settings.max_message_bytes,
            None if tracing is None else tracing.traceparent,
        )
        if tracing is not None:
            # Here, since it imports OpenTelemetry, which need not be installed.
            from ingest.traced import TracedEndpoint  # noqa: PLC0415

            update = TracedEndpoint(update, tracing)
        timeout_s = settings.read_wait_s + READ_TIMEOUT_S
        query = QueryEndpoint(reader, timeout_s)
        deletion = DeletionEndpoint(self._store, reader, self._sequences, self._unseen, timeout_s)
        document = build_document(
            max_custom_info_value_chars=settings.max_custom_info_value_chars,
            authenticated=settings.auth == "jwt",
        )
        rate = RateLimit(settings.group_max_requests_per_s)

        def admit(endpoint: Endpoint, permission: Permission) -> Endpoint:
            # Access first: strangers must not use up a group's share.
            return self._access.guard(rate.guard(endpoint), permission)

        return Dispatcher(
            {
                METRICS_PATH: {
                    "PATCH": admit(update, Permission.WRITE),
                    "GET": admit(query, Permission.READ),
                    "DELETE": admit(deletion, Permission.WRITE),
                },
                OPENAPI_PATH: {"GET": DocumentEndpoint(document)},
                **{path: {"GET": page} for path, page in page_endpoints(DOCS_PATH).items()},
            }
        )

    @asynccontextmanager
    async def _watching_start(self) -> AsyncIterator[None]:
        """Find out, once, when broker, database and keys were first reached."""

        async def watch() -> None:
            while self._missing:
                if self._publisher.connected:
                    self._missing.discard("broker")
                if self._access.ready:
                    self._missing.discard("keys")
                if "database" in self._missing:
                    try:
                        await prepare_database(self._store.database)
                        self._missing.discard("database")
                    except DATABASE_ERRORS as error:
                        log.warning("the database is away", extra={"reason": why_away(error)})
                await asyncio.sleep(_START_PAUSE_S)

        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch())
            try:
                yield
            finally:
                watching.cancel()

    def _not_ready(self) -> list[str]:
        return ["draining"] if self._draining else sorted(self._missing)
