"""Floods of what is large: every answer is one of a few, and memory stays within its bound.

`chaos` storms longer: OVERLOAD_STORMS and OVERLOAD_BODIES are its environment variables.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle, islice

import pytest

from tests.api.wire import PATH, Wire
from tests.harness.client import Client
from tests.harness.services import Gateway, Site
from tests.overload.storm import Framing, full_update, rage

MIB = 1024 * 1024
STORMS = int(os.environ.get("OVERLOAD_STORMS", "1"))
BODIES = int(os.environ.get("OVERLOAD_BODIES", "200"))
READS = 24
GROUPS = 20
UPDATE = {"executionId": "small", "metrics": [{"name": "loss", "value": 1, "step": 1}]}
# The README's formulas with the default settings; none of these tests does all at once.
UPDATES_BOUND_BYTES = (128 + 2 * 64 + 8 * 64 + 10 * 20) * MIB
READS_BOUND_BYTES = (128 + 10 * 64 + 10 * 20) * MIB
WORKER_BOUND_BYTES = (128 + 64 * 16 + 2 * 6 * (8 + 16)) * MIB
DEADLINE_S = 60


@pytest.mark.timeout(60 + 120 * STORMS)
async def test_many_bodies_of_16_mb_at_once_are_accepted_or_refused_within_the_memory_bound(
    site: Site,
) -> None:
    gateway, worker = site.gateway(), site.worker(WORKER_DRAIN_TIMEOUT_S="0")
    await asyncio.to_thread(gateway.start)
    await asyncio.to_thread(worker.start)
    body = full_update("a-flood")
    async with Client(gateway.url) as client, watched(gateway) as most:
        for _ in range(STORMS):
            storm = await rage(
                gateway.port,
                ((f"group-{number % GROUPS:02}", body) for number in range(BODIES)),
                islice(cycle(Framing), BODIES),
            )
            assert storm.unanswered == 0
            assert set(storm.statuses) <= {204, 429, 503}
            assert storm.statuses[204] > 0
            assert set(storm.without_retry_after) <= {204}
            await client.accepted(UPDATE)
    assert len(body) < most["ingest_receiving_bytes"] <= 64 * MIB
    assert most["ingest_pending_bytes"] <= 64 * MIB
    assert gateway.peak_bytes() < UPDATES_BOUND_BYTES
    assert worker.peak_bytes() < WORKER_BOUND_BYTES


@asynccontextmanager
async def watched(gateway: Gateway) -> AsyncIterator[dict[str, float]]:
    """Keep the most that the gateway's budgets of bytes had in use inside the block."""
    most = dict.fromkeys(["ingest_receiving_bytes", "ingest_pending_bytes"], 0.0)

    async def watch() -> None:
        while True:
            for name in most:
                with suppress(TimeoutError):  # it has much to do
                    most[name] = max(most[name], await asyncio.to_thread(gateway.metric, name))

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch())
        yield most
        watching.cancel()


async def test_large_reads_are_answered_or_refused_within_the_memory_bound(site: Site) -> None:
    gateway, worker = site.gateway(INGEST_STALL_TIMEOUT_S="4"), site.worker()
    await asyncio.to_thread(gateway.start)
    await asyncio.to_thread(worker.start)
    async with (
        Client(gateway.url) as client,
        Client(gateway.url, resource_group="other") as other,
        asyncio.timeout(DEADLINE_S),
    ):
        sent = await rage(gateway.port, [("default", full_update("a-run"))], [Framing.LENGTH])
        assert sent.statuses == {204: 1}
        while (answer := await client.query(executionIds="a-run")).status != 200:
            await asyncio.sleep(0.1)  # the worker has a second's work with it
        whole = len(answer.body)
        with Wire(gateway.port) as deaf, Wire(gateway.port) as deaf_too:
            for connection in (deaf, deaf_too):
                connection.send(
                    f"GET {PATH}?executionIds=a-run HTTP/1.1\r\nHost: localhost\r\n"
                    "AI-Resource-Group: default\r\n\r\n".encode()
                )
            while gateway.metric("ingest_reading_bytes") < 1.5 * whole:
                await asyncio.sleep(0.05)
            refused = await client.query(executionIds="a-run")
            assert (refused.status, refused.error["code"]) == (429, "02011051")
            assert refused.headers["Retry-After"] == "1"
            assert (await other.query(executionIds="a-run")).status == 404
            while gateway.metric("ingest_cut_connections_total", what="stalled") < 2:
                await asyncio.sleep(0.1)
        while gateway.metric("ingest_reads") or gateway.metric("ingest_reading_bytes"):
            await asyncio.sleep(0.05)
        answers = await asyncio.gather(*(client.query(executionIds="a-run") for _ in range(READS)))
    assert {answer.status for answer in answers} <= {200, 429, 503}
    assert {len(answer.body) for answer in answers if answer.status == 200} == {whole}
    assert gateway.peak_bytes() < READS_BOUND_BYTES
