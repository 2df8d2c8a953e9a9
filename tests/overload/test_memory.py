"""Floods of the largest bodies: every answer is one of three, and memory stays within its bound."""

import asyncio
import os
from itertools import cycle, islice

import pytest

from tests.harness.client import Client
from tests.harness.services import Site
from tests.overload.storm import Framing, full_update, peak_bytes, rage

MIB = 1024 * 1024
# More makes it a longer storm; the bound is the same.
STORMS = int(os.environ.get("OVERLOAD_STORMS", "1"))
BODIES = int(os.environ.get("OVERLOAD_BODIES", "200"))
GROUPS = 20
UPDATE = {"executionId": "small", "metrics": [{"name": "loss", "value": 1, "step": 1}]}
# The README's formula with the default settings, without reads.
GATEWAY_BOUND_BYTES = 100 * MIB + 2 * 64 * MIB + 4 * 64 * MIB + 10 * 20 * MIB + 200 * MIB // 2


@pytest.mark.timeout(60 + 120 * STORMS)
async def test_many_bodies_of_16_mb_at_once_are_accepted_or_refused_within_the_memory_bound(
    site: Site,
) -> None:
    gateway = site.gateway()
    await asyncio.to_thread(gateway.start)
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
    assert peak_bytes(gateway) < GATEWAY_BOUND_BYTES
