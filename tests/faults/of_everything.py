"""Whatever can break, in a random order, two things at a time."""

import asyncio
import random

from deploy.local.mongodb import Mongod, MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.faults.of_brokers import start_node
from tests.faults.stage import Cast, Stage
from tests.faults.trial import Dose, Fault
from tests.harness.services import Service, start_all
from tests.queue.broker_client import until_saved

_ROUNDS = 4
_LONGEST_S = 5.0
_FOUR = {"UPDATE_QUEUES": "4"}


async def _break_everything(stage: Stage, dose: Dose) -> None:
    chance = random.Random(3)  # noqa: S311 - repeatable
    await until_saved(stage.broker)
    parts: list[RabbitMQ | MongoDB | Service] = [
        stage.broker,
        stage.database,
        *stage.gateways,
        *stage.workers,
    ]
    for _ in range(dose.rounds * _ROUNDS):
        broken = chance.sample(parts, 2)
        for part in broken:
            await asyncio.to_thread(part.kill)
            await asyncio.sleep(chance.uniform(0, _LONGEST_S))
        for part in broken:
            if isinstance(part, Service):
                part.launch()
            elif part is stage.broker:
                await asyncio.to_thread(start_node, stage.broker)
            else:
                await asyncio.to_thread(stage.database.start)
        await stage.sent(chance.randrange(dose.updates))
    for service in (*stage.gateways, *stage.workers):
        await asyncio.to_thread(service.await_ready)


async def _break_one_of_each(stage: Stage, dose: Dose) -> None:
    for number in range(dose.rounds):
        node, member = stage.nodes[number], stage.database.members[number]
        services = [stage.gateways[number], stage.workers[number]]
        await until_saved(node)
        parts: list[RabbitMQ | Mongod | Service] = [node, member, *services]
        for part in parts:
            await asyncio.to_thread(part.kill)
        await stage.sent(dose.updates)
        await asyncio.to_thread(start_node, node)
        await asyncio.to_thread(member.start)
        await start_all(*services)


_ROW = "everything is killed, two at a time, at random"

FAULTS = (
    Fault(
        "everything is killed, two at a time",
        _ROW,
        _break_everything,
        Cast(gateways=2, workers=2, broker_nodes=1, database_members=1),
        recovers_within_s=60,
        in_tests=False,
    ),
    Fault(
        "one of three of everything is killed",
        _ROW,
        _break_one_of_each,
        Cast(gateways=3, workers=3, broker_nodes=3, database_members=3, settings=_FOUR),
        recovers_within_s=60,
        in_tests=False,
    ),
)
