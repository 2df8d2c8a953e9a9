"""What clients are told when the broker does not take an update, and how it recovers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.mongodb import MongoDB
from deploy.local.process import wait_for
from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.topology import UPDATES_EXCHANGE, UPDATES_QUEUE
from tests.faults.proxy import Proxy
from tests.harness.client import Answer, Client
from tests.harness.services import Gateway, Site
from tests.overload.storm import Framing, full_update, rage
from tests.queue.broker_client import channel_of, length, until_saved

DEADLINE_S = 30
UPDATE = {"executionId": "an-execution", "metrics": [{"name": "loss", "value": 1}]}


def refusal(answer: Answer) -> tuple[int, str]:
    assert int(answer.headers["Retry-After"]) > 0
    return answer.status, answer.error["code"]


async def until(client: Client, condition: Callable[[Answer], bool]) -> Answer:
    """Send updates until an answer fulfils the condition."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answer = await client.patch(UPDATE)
            if condition(answer):
                return answer
            await asyncio.sleep(0.05)


def is_accepted(answer: Answer) -> bool:
    return answer.status == 204


async def test_a_full_queue_is_503_until_there_is_room(site: Site, broker: RabbitMQ) -> None:
    vhost = site.database_name
    gateway = site.gateway()
    gateway.start()
    limit = '{"max-length":2}'
    await asyncio.to_thread(
        broker.control, "set_policy", "-p", vhost, "short", ".*", limit, "--apply-to", "queues"
    )
    async with Client(gateway.url) as client, channel_of(site) as channel:
        answer = await until(client, lambda one: one.status != 204)
        assert refusal(answer) == (503, "02011031")
        held = await length(channel)
        assert gateway.metric("ingest_broker_connected") == 1
        queue = await channel.get_queue(UPDATES_QUEUE.name, ensure=False)
        await queue.purge()
        await until(client, is_accepted)
        assert held >= 2


async def test_an_update_in_parts_is_accepted_only_if_all_of_them_are(
    site: Site, broker: RabbitMQ
) -> None:
    gateway = site.gateway(
        INGEST_MAX_MESSAGE_BYTES=str(1024 * 1024), INGEST_MAX_MESSAGES_IN_FLIGHT="1"
    )
    gateway.start()
    policy = ("set_policy", "-p", site.database_name, "short", UPDATES_QUEUE.name)
    await asyncio.to_thread(broker.control, *policy, '{"max-length":2}', "--apply-to", "queues")
    large = full_update("an-execution")
    async with channel_of(site) as channel:
        storm = await rage(gateway.port, [("default", large)], [Framing.LENGTH])
        assert (storm.statuses, storm.without_retry_after) == ({503: 1}, {})
        # The first of them were confirmed, which must not have been taken for all.
        assert await length(channel) > 0


@pytest.mark.parametrize("what", ["queue", "exchange"])
async def test_a_deleted_queue_or_exchange_comes_back(site: Site, what: str) -> None:
    gateway, worker = site.gateway(), site.worker()
    gateway.start()
    worker.start()
    async with Client(gateway.url) as client:
        await client.accepted(UPDATE)
        async with channel_of(site) as channel:
            if what == "queue":
                await channel.queue_delete(UPDATES_QUEUE.name)
            else:
                await channel.exchange_delete(UPDATES_EXCHANGE.name)
        await until(client, is_accepted)
        execution_id = str(uuid4())
        await client.accepted(UPDATE | {"executionId": execution_id})
        assert (await client.resource(execution_id))["metrics"]  # the worker is back too


async def test_more_pending_bytes_than_allowed_are_503(site: Site) -> None:
    gateway = site.gateway(
        INGEST_MAX_PENDING_BYTES=str(1024 * 1024), INGEST_GROUP_SHARE_PERCENT="100"
    )
    gateway.start()
    large = {
        "executionId": "an-execution",
        "metrics": [{"name": "n" * 250, "value": n} for n in range(1000)],
    }
    async with Client(gateway.url) as client:
        answers = await asyncio.gather(*(client.patch(large) for _ in range(32)))
        refused = [answer for answer in answers if not is_accepted(answer)]
        assert {refusal(answer) for answer in refused} == {(503, "02011032")}
        await client.accepted(UPDATE)


async def test_a_gateway_told_to_stop_still_answers_what_waits_for_its_confirm(
    site: Site, broker: RabbitMQ
) -> None:
    async with Proxy(broker.port) as proxy:
        url = site.amqp_url.replace(f":{broker.port}/", f":{proxy.port}/")
        gateway = site.gateway(AMQP_URL=url)
        await asyncio.to_thread(gateway.start)
        async with Client(gateway.url) as client, asyncio.TaskGroup() as tasks:
            proxy.silence()
            update = tasks.create_task(client.patch(UPDATE))
            waits = lambda: gateway.metric("ingest_messages_in_flight") == 1  # noqa: E731
            assert await asyncio.to_thread(wait_for, waits, DEADLINE_S)
            gateway.terminate()
            assert await asyncio.to_thread(wait_for, lambda: not gateway.is_ready(), DEADLINE_S)
            proxy.restore()
            assert is_accepted(await update)
        assert await asyncio.to_thread(gateway.await_end) == 0


async def test_a_gateway_told_to_stop_ends_though_the_broker_never_confirms(
    site: Site, broker: RabbitMQ
) -> None:
    async with Proxy(broker.port) as proxy:
        gateway = site.gateway(
            AMQP_URL=site.amqp_url.replace(f":{broker.port}/", f":{proxy.port}/"),
            INGEST_DRAIN_TIMEOUT_S="1",
            INGEST_CONFIRM_TIMEOUT_S="60",
        )
        await asyncio.to_thread(gateway.start)
        async with Client(gateway.url) as client:
            proxy.silence()
            update = asyncio.create_task(client.patch(UPDATE))
            waits = lambda: gateway.metric("ingest_messages_in_flight") == 1  # noqa: E731
            assert await asyncio.to_thread(wait_for, waits, DEADLINE_S)
            gateway.terminate()
            await asyncio.gather(update, return_exceptions=True)
        assert await asyncio.to_thread(gateway.await_end) == 0


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[RabbitMQ]:
    server = RabbitMQ(tmp_path / "rabbitmq")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def own_gateway(
    own_broker: RabbitMQ, database: MongoDB, tmp_path: Path
) -> AsyncIterator[Gateway]:
    site = Site(own_broker, database, "own", tmp_path)
    gateway = site.gateway(INGEST_CONFIRM_TIMEOUT_S="2")
    await asyncio.to_thread(gateway.start)
    yield gateway
    await asyncio.to_thread(site.close)


async def within(seconds: float, answer: Awaitable[Answer]) -> Answer:
    async with asyncio.timeout(seconds):
        return await answer


async def test_a_broker_that_dies_is_503_at_once_and_recovery_needs_no_help(
    own_broker: RabbitMQ, own_gateway: Gateway
) -> None:
    async with Client(own_gateway.url) as client:
        await client.accepted(UPDATE)
        await until_saved(own_broker)
        await asyncio.to_thread(own_broker.kill)
        assert refusal(await within(3, client.patch(UPDATE))) == (503, "02011031")
        assert refusal(await within(1, client.patch(UPDATE))) == (503, "02011031")
        assert own_gateway.is_ready()  # all gateways lose the broker together
        await asyncio.to_thread(own_broker.start)
        await until(client, is_accepted)


async def test_a_broker_in_alarm_is_503_within_the_deadline_then_at_once(
    own_broker: RabbitMQ, own_gateway: Gateway
) -> None:
    async with Client(own_gateway.url) as client:
        await client.accepted(UPDATE)
        await asyncio.to_thread(own_broker.control, "set_vm_memory_high_watermark", "0.00001")
        await until(client, lambda one: not is_accepted(one))
        # Also while the gateway tries again and again: the broker lets it connect.
        failures = own_gateway.metric("ingest_publish_failures_total")
        async with asyncio.timeout(DEADLINE_S):
            while own_gateway.metric("ingest_publish_failures_total") < failures + 2:
                assert refusal(await within(1, client.patch(UPDATE))) == (503, "02011031")
                await asyncio.sleep(0.05)
        await asyncio.to_thread(own_broker.control, "set_vm_memory_high_watermark", "0.6")
        await until(client, is_accepted)
