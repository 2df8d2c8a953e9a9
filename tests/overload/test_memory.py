"""Floods of what is large: every answer is one of a few, and memory stays within its bound.

`chaos` storms longer: OVERLOAD_STORMS and OVERLOAD_BODIES are its environment variables.
"""

import asyncio
import os
from itertools import cycle, islice

import pytest

from deploy.local.process import wait_for
from tests.api.wire import PATH, Wire
from tests.harness.client import Client
from tests.harness.services import Site
from tests.overload.storm import Framing, full_update, peak_bytes, rage

MIB = 1024 * 1024
STORMS = int(os.environ.get("OVERLOAD_STORMS", "1"))
BODIES = int(os.environ.get("OVERLOAD_BODIES", "200"))
READS = 24
GROUPS = 20
UPDATE = {"executionId": "small", "metrics": [{"name": "loss", "value": 1, "step": 1}]}
# The README's formulas with the default settings; none of these tests does all at once.
UPDATES_BOUND_BYTES = (128 + 2 * 64 + 8 * 64 + 10 * 20) * MIB
READS_BOUND_BYTES = (128 + 10 * 64 + 10 * 20) * MIB
WORKER_BOUND_BYTES = (128 + 32 * 16 + 2 * 6 * (8 + 16)) * MIB
DEADLINE_S = 60


@pytest.mark.timeout(60 + 120 * STORMS)
async def test_many_bodies_of_16_mb_at_once_are_accepted_or_refused_within_the_memory_bound(
    site: Site,
) -> None:
    gateway, worker = site.gateway(), site.worker(WORKER_DRAIN_TIMEOUT_S="0")
    await asyncio.to_thread(gateway.start)
    await asyncio.to_thread(worker.start)
    body = full_update("a-flood")
    async with Client(gateway.url) as client:
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
    assert peak_bytes(gateway) < UPDATES_BOUND_BYTES
    assert peak_bytes(worker) < WORKER_BOUND_BYTES


async def test_many_large_reads_at_once_are_answered_or_refused_within_the_memory_bound(
    site: Site,
) -> None:
    gateway = site.gateway(INGEST_STALL_TIMEOUT_S="1")
    worker = site.worker()
    await asyncio.to_thread(gateway.start)
    await asyncio.to_thread(worker.start)
    async with Client(gateway.url) as client, asyncio.timeout(DEADLINE_S):
        sent = await rage(gateway.port, [("default", full_update("a-run"))], [Framing.LENGTH])
        assert sent.statuses == {204: 1}
        while (answer := await client.query(executionIds="a-run")).status != 200:
            await asyncio.sleep(0.1)  # the worker has a second's work with it
        whole = len(answer.body)
        answers = await asyncio.gather(
            *(client.query(executionIds="a-run") for _ in range(READS)), return_exceptions=True
        )
        read = [one for one in answers if not isinstance(one, BaseException)]
        assert {answer.status for answer in read} <= {200, 429, 503}
        assert any(answer.status == 200 for answer in read)
        for answer in read:
            if answer.status == 200:
                assert len(answer.body) == whole
            else:
                assert answer.headers["Retry-After"] == "1"
    with Wire(gateway.port) as deaf:
        deaf.send(
            f"GET {PATH}?executionIds=a-run HTTP/1.1\r\nHost: localhost\r\n"
            "AI-Resource-Group: default\r\n\r\n".encode()
        )
        assert wait_for(lambda: gateway.metric("ingest_cut_connections_total") == 1, DEADLINE_S)
    assert wait_for(lambda: gateway.metric("ingest_reading_bytes") == 0, DEADLINE_S)
    assert gateway.metric("ingest_reads") == 0
    assert peak_bytes(gateway) < READS_BOUND_BYTES
