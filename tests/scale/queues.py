"""What tests of several queues share."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from deploy.local.process import wait_for
from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.topology import updates_queues
from tests.harness.load import Load
from tests.harness.services import Gateway, Site

FOUR = {"UPDATE_QUEUES": "4"}
DEADLINE_S = 60


@asynccontextmanager
async def running(load: Load) -> AsyncIterator[None]:
    """Run a load around the block."""
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        try:
            yield
        finally:
            load.stop()


async def until(condition: Callable[[], bool], deadline_s: float = 30) -> None:
    """Wait until something holds that takes a look at a process."""
    assert await asyncio.to_thread(wait_for, condition, deadline_s)


def confirmed(gateway: Gateway, count: int = 4) -> list[float]:
    """Return how many messages each queue has confirmed to a gateway, probes included."""
    name = "ingest_confirmed_messages_total"
    return [gateway.metric(name, queue=queue.name) for queue in updates_queues(count)]


async def lengths(broker: RabbitMQ, site: Site) -> dict[str, int]:
    """Return how many messages are on each queue, those that a worker holds included."""
    command = ("list_queues", "-p", site.database_name, "name", "messages", "--formatter", "json")
    listed = await asyncio.to_thread(broker.control, *command)
    return {queue["name"]: queue["messages"] for queue in json.loads(listed)}
