"""Updates spread over several queues: all are used, and nothing is lost, also by a new number."""

import asyncio

import aio_pika
from aio_pika.abc import AbstractChannel

from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.message import encode_message, new_message_id
from ingest.contract.topology import (
    DEAD_LETTER_QUEUE,
    MAX_UPDATES_QUEUES,
    UPDATES_EXCHANGE,
    Queue,
    updates_queue,
    updates_queues,
)
from ingest.runtime.broker import declare_topology
from tests.harness.client import Client
from tests.harness.ledger import Outcome
from tests.harness.load import Load
from tests.harness.services import Site, start_all
from tests.harness.settled import load_settled
from tests.queue.broker_client import channel_of, length
from tests.scale.queues import DEADLINE_S, FOUR, confirmed, lengths, running, until


def test_the_first_queue_is_the_one_that_there_always_was() -> None:
    assert updates_queue(0).name == "metrics.updates"
    assert updates_queue(0).routing_key == "update"
    assert "x-dead-letter-routing-key" not in updates_queue(0).arguments
    every = updates_queues(MAX_UPDATES_QUEUES)
    assert len({queue.name for queue in every}) == len({queue.routing_key for queue in every}) == 64


async def test_every_queue_is_used_and_nothing_is_lost(site: Site) -> None:
    gateway, *workers = site.gateway(**FOUR), site.worker(**FOUR), site.worker(**FOUR)
    await start_all(gateway, *workers)
    load = Load([gateway.url], connections=24, most=1500)
    async with asyncio.timeout(DEADLINE_S):
        await load.run()
    assert load.ledger.count(Outcome.ACCEPTED) == load.sent
    # Each probe is confirmed, too.
    assert min(confirmed(gateway)) > 10
    assert gateway.metric("ingest_working_queues") == 4
    verdict = await load_settled(load, site, [gateway])
    assert verdict, verdict


async def test_messages_one_by_one_take_turns(site: Site) -> None:
    gateway = site.gateway(**FOUR)
    gateway.start()
    await until(lambda: gateway.metric("ingest_working_queues") == 4)
    before = confirmed(gateway)
    async with Client(gateway.url) as client:
        for _ in range(12):
            await client.accepted({"executionId": "an-execution"})
    turns = [now - then for now, then in zip(confirmed(gateway), before, strict=True)]
    assert turns == [3, 3, 3, 3]


async def test_a_query_right_after_an_update_sees_it(site: Site) -> None:
    gateway = site.gateway(**FOUR)
    await start_all(gateway, site.worker(**FOUR), site.worker(**FOUR))
    async with Client(gateway.url) as client:
        for number in range(40):
            metric = {"name": "n", "value": number, "step": number}
            await client.accepted({"executionId": "an-execution", "metrics": [metric]})
            metrics = (await client.resource("an-execution"))["metrics"]
            assert [one["value"] for one in metrics] == list(range(number + 1))
    assert gateway.metric("ingest_read_wait_timeouts_total") == 0


async def test_while_the_number_is_raised_and_lowered_nothing_is_lost(
    site: Site, broker: RabbitMQ
) -> None:
    """In the worst order each time: workers know of fewer queues than gateways fill."""
    gateway, worker = site.gateway(), site.worker()
    await start_all(gateway, worker)
    load = Load([gateway.url], connections=8, pace_s=0.01)
    async with running(load):
        for number in ("4", "2", "1"):
            gateway.terminate()
            assert await asyncio.to_thread(gateway.await_end) == 0
            gateway.environment["UPDATE_QUEUES"] = number
            await start_all(gateway)
            count = int(number)
            await until(lambda wanted=count: min(confirmed(gateway, wanted)) > 5)  # type: ignore[misc]
            if number == "4":
                # It was started before there were more, and looks for them when it starts.
                worker.terminate()
                assert await asyncio.to_thread(worker.await_end) == 0
                await start_all(worker)
    verdict = await load_settled(load, site, [gateway])
    assert verdict, verdict
    warnings = [line for line in worker.logs() if "UPDATE_QUEUES" in line["message"]]
    assert [line["queue"] for line in warnings] == [queue.name for queue in updates_queues(4)[1:]]
    async with asyncio.timeout(DEADLINE_S):
        while set((await lengths(broker, site)).values()) != {0}:
            await asyncio.sleep(0.1)
    assert load.surprises == []


async def test_a_worker_of_four_queues_reads_what_a_gateway_of_one_has_sent(site: Site) -> None:
    gateway, worker = site.gateway(), site.worker(**FOUR)
    await start_all(gateway, worker)
    load = Load([gateway.url], most=200)
    async with asyncio.timeout(DEADLINE_S):
        await load.run()
    verdict = await load_settled(load, site, [gateway])
    assert verdict, verdict


async def test_a_worker_told_to_stop_finishes_what_it_has_taken_from_all_queues(
    site: Site, broker: RabbitMQ
) -> None:
    gateway, worker = site.gateway(**FOUR), site.worker(**FOUR)
    await start_all(gateway, worker)
    load = Load([gateway.url], connections=24, pace_s=0.002)
    async with running(load):
        await until(lambda: min(confirmed(gateway)) > 5)
        worker.terminate()
        assert await asyncio.to_thread(worker.await_end) == 0
        await start_all(worker)
    assert load.ledger.count(Outcome.ACCEPTED) == load.sent
    verdict = await load_settled(load, site, [gateway])
    assert verdict, verdict
    async with asyncio.timeout(DEADLINE_S):
        while set((await lengths(broker, site)).values()) != {0}:
            await asyncio.sleep(0.1)
    # What it had begun was acked: nothing came again.
    assert worker.metric("worker_duplicate_segments_total") == 0


async def fill(channel: AbstractChannel, queue: Queue, count: int) -> None:
    exchange = await channel.get_exchange(UPDATES_EXCHANGE.name, ensure=False)
    for number in range(count):
        body = encode_message(new_message_id(number, b"test"), [])
        await exchange.publish(aio_pika.Message(body), queue.routing_key)


async def test_what_is_prefetched_is_divided_among_the_queues(site: Site) -> None:
    # Without its database a worker takes what is sent ahead, and no more.
    nowhere = "mongodb://127.0.0.1:1/?replicaSet=rs0"
    worker = site.worker(**FOUR, WORKER_PREFETCH_MESSAGES="22", MONGODB_URL=nowhere)
    async with channel_of(site) as channel:
        await declare_topology(channel, updates_queues(4))
        for queue in updates_queues(4):
            await fill(channel, queue, 30)
        worker.launch()
        async with asyncio.timeout(DEADLINE_S):
            while [await length(channel, queue) for queue in updates_queues(4)] != [25] * 4:
                await asyncio.sleep(0.05)


async def test_more_queues_than_messages_to_prefetch_are_all_consumed(site: Site) -> None:
    worker = site.worker(**FOUR, WORKER_PREFETCH_MESSAGES="2")
    async with channel_of(site) as channel:
        await declare_topology(channel, updates_queues(4))
        for queue in updates_queues(4):
            await fill(channel, queue, 5)
        worker.start()
        async with asyncio.timeout(DEADLINE_S):
            while any([await length(channel, queue) for queue in updates_queues(4)]):
                await asyncio.sleep(0.05)


async def test_dead_letters_of_every_queue_reach_the_one_for_them(site: Site) -> None:
    async with channel_of(site) as channel:
        await declare_topology(channel, updates_queues(4))
        for number, data in enumerate(updates_queues(4)):
            await fill(channel, data, 1)
            queue = await channel.get_queue(data.name, ensure=False)
            message = await queue.get()
            # As the broker does when a message has reached its delivery limit.
            await message.reject(requeue=False)
            async with asyncio.timeout(DEADLINE_S):
                while await length(channel, DEAD_LETTER_QUEUE) != number + 1:
                    await asyncio.sleep(0.05)
