"""Lanes whose connection is given up: what is still in flight on them fails only afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.topology import updates_queues
from ingest.lanes import Lane, Lanes
from ingest.runtime.broker import BrokerError, close, connect, declare_topology
from tests.faults.proxy import Proxy
from tests.harness.services import Site
from tests.scale.queues import until

QUEUES = updates_queues(2)
DEADLINE_S = 20
MESSAGE_ID = bytes(12)


class Link:
    """Lanes over a connection of their own, and the tasks that they have started."""

    def __init__(self, lanes: Lanes, tasks: set["asyncio.Task[Any]"]) -> None:
        self.lanes = lanes
        self.tasks = tasks


async def publish(lane: Lane) -> None:
    await lane.publish(MESSAGE_ID, b"{}", asyncio.get_running_loop().time() + DEADLINE_S)


@asynccontextmanager
async def lanes_over(url: str) -> AsyncIterator[Link]:
    tasks: set[asyncio.Task[Any]] = set()

    def spawn(coroutine: Any) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(coroutine)
        tasks.add(task)
        return task

    connection = await connect(url, "test")
    try:
        async with connection.channel() as channel:
            await declare_topology(channel, QUEUES)
        lanes = Lanes(connection, asyncio.Event(), 4, publish, lambda: None, spawn)
        await lanes.open(QUEUES)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*tasks)  # each queue has confirmed its probe
        yield Link(lanes, tasks)
    finally:
        await close(connection)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("how", ["late", "lost"])
async def test_nothing_is_mended_after_the_end(site: Site, broker: RabbitMQ, how: str) -> None:
    async with Proxy(broker.port) as proxy:
        url = site.amqp_url.replace(f":{broker.port}/", f":{proxy.port}/")
        async with lanes_over(url) as link:
            proxy.strand()
            lane = link.lanes.take()
            assert lane is not None
            in_flight = asyncio.create_task(publish(lane))
            await asyncio.sleep(0)  # it is on its way
            link.lanes.close()
            if how == "late":  # by and by: nobody confirms it
                await until(lambda: not lane.works)
            else:
                proxy.cut()
                with pytest.raises(BrokerError):
                    await in_flight
                assert lane.give_way()
            assert all(task.done() for task in link.tasks)
            in_flight.cancel()
            await asyncio.gather(in_flight, return_exceptions=True)
