"""One tenant that takes more than its share, beside others that must not notice."""

import asyncio
import time

from tests.api import wire
from tests.api.wire import Wire
from tests.harness.client import Client
from tests.harness.services import Site

MIB = 1024 * 1024
UPDATE = {"executionId": "a-run", "metrics": [{"name": "loss", "value": 1, "step": 1}]}
DEADLINE_S = 30


def large_patch(group: str) -> bytes:
    """The beginning of a request whose body of 1 MiB is on its way."""
    headers = (
        f"PATCH {wire.PATH} HTTP/1.1\r\nHost: localhost\r\nAI-Resource-Group: {group}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {MIB}\r\n\r\n"
    )
    return headers.encode() + b"{"


async def test_a_group_beyond_its_share_is_429_while_another_is_served(site: Site) -> None:
    gateway = site.gateway(INGEST_MAX_RECEIVING_BYTES=str(4 * MIB), INGEST_GROUP_SHARE_PERCENT="50")
    await asyncio.to_thread(gateway.start)

    def exchange() -> None:
        with Wire(gateway.port) as first, Wire(gateway.port) as second, Wire(gateway.port) as other:
            for connection in (first, second):
                connection.send(large_patch("greedy"))
            while gateway.metric("ingest_receiving_bytes") < 2 * MIB:
                time.sleep(0.01)
            refused = wire.exchange(gateway.port, large_patch("greedy"))
            assert refused is not None
            assert (refused.status, refused.error["code"]) == (429, "02011051")
            assert refused.headers["Retry-After"] == "1"
            body = b'{"executionId": "other", "tags": []}'
            other.send(large_patch("other") + body[1:] + b" " * (MIB - len(body)))
            answer = other.answer()
            assert answer is not None
            assert answer.status == 204

    async with asyncio.timeout(DEADLINE_S):
        await asyncio.to_thread(exchange)
        async with Client(gateway.url, resource_group="greedy") as client:
            await client.accepted(UPDATE)  # small ones come in all the same


async def test_the_rate_limit_is_per_group_and_its_retry_after_is_true(site: Site) -> None:
    gateway = site.gateway(INGEST_GROUP_MAX_REQUESTS_PER_S="5")
    await asyncio.to_thread(gateway.start)
    async with (
        asyncio.timeout(DEADLINE_S),
        Client(gateway.url, resource_group="greedy") as greedy,
        Client(gateway.url, resource_group="other") as other,
    ):
        answers = await asyncio.gather(
            *(greedy.patch(UPDATE) for _ in range(20)),
            *(greedy.query(executionIds="some") for _ in range(20)),
            *(greedy.delete("some") for _ in range(20)),
        )
        refused = [answer for answer in answers if answer.status == 429]
        assert len(refused) >= 20
        for answer in refused:
            assert answer.error["code"] == "02011051"
        await other.accepted(UPDATE)
        await asyncio.sleep(max(int(answer.headers["Retry-After"]) for answer in refused))
        await greedy.accepted(UPDATE)


async def test_reads_that_wait_for_a_worker_hold_up_no_other_group(site: Site) -> None:
    gateway = site.gateway(  # and no worker
        INGEST_MAX_READS="4", INGEST_READ_WAIT_S="20", INGEST_DRAIN_TIMEOUT_S="0"
    )
    await asyncio.to_thread(gateway.start)
    async with (
        asyncio.timeout(DEADLINE_S),
        Client(gateway.url, resource_group="waiting") as waiting,
        Client(gateway.url, resource_group="other") as other,
        asyncio.TaskGroup() as tasks,
    ):
        await waiting.accepted(UPDATE)
        reads = [tasks.create_task(waiting.query(executionIds="a-run")) for _ in range(2)]
        while gateway.metric("ingest_waiting_reads") < 2:
            await asyncio.sleep(0.01)
        beyond = await waiting.query(executionIds="a-run")
        assert (beyond.status, beyond.error["code"]) == (429, "02011051")
        assert beyond.headers["Retry-After"] == "1"
        assert (await waiting.query(executionIds="another")).status == 404
        # More than may wait or be answered at once: none of these waits.
        assert (await other.query(executionIds="a-run")).status == 404
        for read in reads:
            assert not read.done()
            read.cancel()
