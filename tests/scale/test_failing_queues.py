"""One of four queues fails: updates go to the others, and to it again when it works."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.topology import updates_queue, updates_queues
from ingest.runtime.broker import declare_topology
from tests.faults.proxy import Proxy
from tests.harness.client import Client
from tests.harness.ledger import Outcome
from tests.harness.load import Load
from tests.harness.services import Gateway, Site, start_all
from tests.harness.settled import load_settled
from tests.queue.broker_client import channel_of
from tests.scale.queues import FOUR, confirmed, running, until

FAILING = updates_queue(2)
IMPATIENT = FOUR | {"INGEST_CONFIRM_TIMEOUT_S": "5"}


def working(gateway: Gateway) -> int:
    return int(gateway.metric("ingest_working_queues"))


def confirmed_by_failing(gateway: Gateway) -> float:
    return gateway.metric("ingest_confirmed_messages_total", queue=FAILING.name)


async def raft(broker: RabbitMQ, site: Site, call: str) -> None:
    """Call `ra:call(quorum_queues, member)`: the queue has one member, on the only node."""
    name = f'rabbit_misc:r(<<"{site.database_name}">>, queue, <<"{FAILING.name}">>)'
    code = (
        f"{{ok, Queue}} = rabbit_amqqueue:lookup({name}), "
        f"ok = ra:{call}(quorum_queues, amqqueue:get_pid(Queue))."
    )
    await asyncio.to_thread(broker.control, "eval", code)


@asynccontextmanager
async def full(broker: RabbitMQ, site: Site) -> AsyncIterator[None]:
    scope = ("-p", site.database_name, "full")
    pattern = FAILING.name.replace(".", "[.]") + "$"
    policy = (pattern, '{"max-length":5}', "--apply-to", "queues")
    await asyncio.to_thread(broker.control, "set_policy", *scope, *policy)
    yield  # The limit stays; later a worker makes room.


@asynccontextmanager
async def silent(broker: RabbitMQ, site: Site) -> AsyncIterator[None]:
    """Leave the queue without a leader."""
    await raft(broker, site, "stop_server")
    yield
    await raft(broker, site, "restart_server")


Fault = Callable[[RabbitMQ, Site], AbstractAsyncContextManager[None]]


@pytest.mark.parametrize(
    # One that is silent costs those that wait for it when it falls silent, and none later.
    ("fault", "most_refused"), [(full, 0), (silent, 100)], ids=["full", "silent"]
)  # fmt: skip
async def test_others_take_what_one_does_not(
    site: Site, broker: RabbitMQ, fault: Fault, most_refused: int
) -> None:
    gateway, worker = site.gateway(**IMPATIENT), site.worker(**FOUR)
    await start_all(gateway)  # without the worker, which would make room
    await until(lambda: working(gateway) == 4)
    load = Load([gateway.url], connections=16, pace_s=0.005)
    async with running(load):
        await until(lambda: min(confirmed(gateway)) > 5)
        async with fault(broker, site):
            await until(lambda: working(gateway) == 3)
            before, sent = confirmed_by_failing(gateway), load.sent
            await until(lambda: load.sent > sent + 500)
            assert working(gateway) == 3
            assert confirmed_by_failing(gateway) == before
            assert gateway.metric("ingest_broker_connected") == 1
        await start_all(worker)
        await until(lambda: working(gateway) == 4)
        await until(lambda: confirmed_by_failing(gateway) > before + 5)
    assert load.ledger.count(Outcome.REFUSED) <= most_refused
    assert load.ledger.count(Outcome.UNANSWERED) == 0
    assert load.slowest_s < 10
    verdict = await load_settled(load, site, [gateway])
    assert verdict, verdict


async def test_a_single_queue_is_used_again_once_its_length_limit_is_removed(
    site: Site, broker: RabbitMQ
) -> None:
    gateway = site.gateway()
    gateway.start()
    limit = ("-p", site.database_name, "full")
    policy = (".*", '{"max-length":2}', "--apply-to", "queues")
    await asyncio.to_thread(broker.control, "set_policy", *limit, *policy)
    async with Client(gateway.url) as client, asyncio.timeout(60):
        while (await client.patch({"executionId": "a-run"})).status != 503:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(broker.control, "clear_policy", *limit)
        while (await client.patch({"executionId": "a-run"})).status != 204:
            await asyncio.sleep(0.1)


async def test_a_deleted_queue_comes_back(site: Site) -> None:
    gateway, worker = site.gateway(**FOUR), site.worker(**FOUR)
    await start_all(gateway, worker)
    load = Load([gateway.url], connections=16, pace_s=0.005)
    async with running(load):
        await until(lambda: min(confirmed(gateway)) > 5)
        # What is on a queue goes with it, and nobody could prevent that. So let it be empty.
        load.pause()
        verdict = await load_settled(load, site, [gateway])
        assert verdict, verdict
        async with channel_of(site) as channel:
            await channel.queue_delete(FAILING.name)
        load.resume()
        before = confirmed_by_failing(gateway)
        await until(lambda: working(gateway) == 4 and confirmed_by_failing(gateway) > before + 5)
    assert load.ledger.count(Outcome.REFUSED) == 0
    verdict = await load_settled(load, site, [gateway])
    assert verdict, verdict


async def test_an_idle_gateway_keeps_its_connection_beside_a_silent_queue(
    site: Site, broker: RabbitMQ
) -> None:
    gateway = site.gateway(**FOUR, INGEST_CONFIRM_TIMEOUT_S="1")
    gateway.start()
    await until(lambda: working(gateway) == 4)
    async with silent(broker, site), Client(gateway.url) as client:
        for number in range(8):
            await client.patch({"executionId": f"run-{number}"})
        await until(lambda: working(gateway) == 3)
        # Probes fail meanwhile, and nothing else happens.
        failures = gateway.metric("ingest_publish_failures_total")
        await until(lambda: gateway.metric("ingest_publish_failures_total") >= failures + 3)
        for number in range(8):
            await client.accepted({"executionId": f"run-{number}"})
    connections = [line for line in gateway.logs() if line["message"] == "connected to the broker"]
    assert len(connections) == 1


async def test_a_silent_queue_does_not_keep_a_gateway_or_a_worker_from_starting(
    site: Site, broker: RabbitMQ
) -> None:
    gateway, worker = site.gateway(**IMPATIENT), site.worker(**FOUR)
    async with channel_of(site) as channel:
        await declare_topology(channel, updates_queues(4))
    async with silent(broker, site):
        await start_all(gateway, worker)
        async with Client(gateway.url) as client:
            for number in range(8):
                await client.accepted({"executionId": f"run-{number}"})
                assert await client.resource(f"run-{number}")
    await until(lambda: working(gateway) == 4)
    async with Client(gateway.url) as client:
        for number in range(8):
            await client.accepted({"executionId": f"later-{number}"})
            assert await client.resource(f"later-{number}")


async def test_a_connection_that_falls_silent_is_replaced_once(
    site: Site, broker: RabbitMQ
) -> None:
    async with Proxy(broker.port) as proxy:
        url = site.amqp_url.replace(f":{broker.port}/", f":{proxy.port}/")
        gateway = site.gateway(**IMPATIENT, AMQP_URL=url)
        await asyncio.to_thread(gateway.start)
        await until(lambda: working(gateway) == 4)
        load = Load([gateway.url], connections=4, pace_s=0.5)
        async with running(load):
            proxy.strand()
            await until(lambda: gateway.metric("ingest_broker_connected") == 0)
            await until(lambda: working(gateway) == 4)
            # What was in flight on the old connection fails meanwhile.
            before = min(confirmed(gateway))
            await until(lambda: min(confirmed(gateway)) > before + 8)
    connections = [line for line in gateway.logs() if line["message"] == "connected to the broker"]
    assert len(connections) == 2
