"""Read your own writes: what follows a 204 on the same gateway sees the update."""

import asyncio
import time

from deploy.local.process import wait_for
from tests.harness.client import EXAMPLE, Answer, Client
from tests.harness.services import Gateway, Site


async def test_a_query_right_after_an_update_sees_it(client: Client, execution_id: str) -> None:
    for number in range(100):
        metric = {"name": "n", "value": number, "step": number}
        await client.accepted({"executionId": execution_id, "metrics": [metric]})
        metrics = (await client.resource(execution_id))["metrics"]
        assert [one["value"] for one in metrics] == list(range(number + 1))


async def test_so_it_does_in_many_runs_at_once(client: Client) -> None:
    async def run(execution_id: str) -> None:
        for number in range(10):
            tag = {"name": "last", "value": str(number)}
            await client.accepted({"executionId": execution_id, "tags": [tag]})
            assert (await client.resource(execution_id))["tags"] == [tag]

    await asyncio.gather(*(run(f"run-{number}") for number in range(40)))


async def test_so_does_a_query_by_tag(client: Client) -> None:
    for number in range(50):
        tags = [{"name": "stage", "value": "test"}]
        await client.accepted({"executionId": f"run-{number}", "tags": tags})
        answer = await client.query(tagFilters="stage=test", select="tags")
        assert answer.json["count"] == number + 1


async def test_nothing_has_to_wait_for_the_limit(gateway: Gateway, client: Client) -> None:
    before = gateway.metric("ingest_read_wait_timeouts_total")
    for number in range(20):
        await client.accepted({"executionId": f"run-{number}"})
        await client.resource(f"run-{number}")
    assert gateway.metric("ingest_read_wait_timeouts_total") == before


async def test_the_first_updates_of_a_new_database_are_read_back_at_once(site: Site) -> None:
    gateway, worker = site.gateway(), site.worker()
    gateway.launch()
    worker.launch()
    for service in (gateway, worker):
        await asyncio.to_thread(service.await_ready)
    statuses = set()
    async with Client(gateway.url) as client:

        async def ask(**query: str) -> None:
            statuses.add((await client.query(**query)).status)

        for section in ("metrics", "tags", "customInfo"):
            await client.accepted({"executionId": section, section: EXAMPLE[section]})
            others = [ask(executionIds=f"run-{number}") for number in range(30)]
            await asyncio.gather(client.resource(section), *others)
            await ask(tagFilters="no-such-tag")
    assert statuses == {404}


async def test_a_read_never_waits_for_what_another_gateway_has_deleted(
    gateway: Gateway, roomy: Gateway, execution_id: str
) -> None:
    async with Client(gateway.url) as here, Client(roomy.url) as there:
        await here.accepted(EXAMPLE | {"executionId": execution_id})
        async with asyncio.timeout(5):  # the other one cannot know before it is stored
            while b"Error Rate" not in (await there.query(executionIds=execution_id)).body:
                pass
        assert (await there.delete(execution_id)).status == 200
        before = gateway.metric("ingest_read_wait_timeouts_total")
        assert (await here.query(executionIds=execution_id)).status == 404
        assert gateway.metric("ingest_read_wait_timeouts_total") == before


async def test_reads_never_wait_for_what_is_deleted_beside_them(
    gateway: Gateway, client: Client, execution_id: str
) -> None:
    before = gateway.metric("ingest_read_wait_timeouts_total")
    for _ in range(10):
        await client.accepted(EXAMPLE | {"executionId": execution_id})
        deletions = [client.delete(execution_id) for _ in range(5)]
        queries = [client.query(executionIds=execution_id) for _ in range(5)]
        await asyncio.gather(*deletions, *queries)
        if gateway.metric("ingest_read_wait_timeouts_total") != before:
            break
    assert gateway.metric("ingest_read_wait_timeouts_total") == before


async def test_a_read_waits_for_an_update_only_as_long_as_it_may(site: Site) -> None:
    gateway, worker = site.gateway(INGEST_READ_WAIT_S="1"), site.worker()
    gateway.start()  # and no worker: nothing becomes visible
    async with Client(gateway.url) as client:
        tags = [{"name": "stage", "value": "test"}]
        await client.accepted(EXAMPLE | {"executionId": "full"})
        await client.accepted({"executionId": "tags", "tags": tags})
        await client.accepted({"executionId": "bare"})

        started = time.monotonic()
        assert (await client.query(executionIds="another")).status == 404
        assert time.monotonic() - started < 0.5

        async def timed(**query: str) -> tuple[Answer, float]:
            started = time.monotonic()
            return await client.query(**query), time.monotonic() - started

        for answer, duration in await asyncio.gather(
            timed(executionIds="full"),
            timed(executionIds="tags"),
            timed(executionIds="bare"),
            timed(executionIds="another,bare"),
            timed(filter="executionId eq 'full'"),
            timed(tagFilters="stage=test"),
        ):
            assert (answer.status, answer.error["code"]) == (404, "02010055")
            assert 0.8 < duration < 3
        assert gateway.metric("ingest_read_wait_timeouts_total") == 6

        waiting = asyncio.create_task(timed(executionIds="full"))
        await asyncio.to_thread(worker.launch)
        await waiting
        assert await asyncio.to_thread(
            wait_for, lambda: worker.is_ready() and is_applied(worker.operations("/metrics")), 10
        )
        for execution_id in ("full", "tags", "bare"):
            assert (await client.resource(execution_id))["executionId"] == execution_id


def is_applied(metrics: str) -> bool:
    """Tell whether the worker has stored the three updates."""
    return "worker_entries_applied_total 3.0" in metrics
