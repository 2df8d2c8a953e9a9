"""Whatever can break, in a random order, two things at a time."""

import asyncio
import random

from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.faults.of_brokers import start_node
from tests.faults.stage import Cast, Stage
from tests.faults.trial import Dose, Fault
from tests.harness.services import Service
from tests.queue.broker_client import until_saved

_ROUNDS = 4
_LONGEST_S = 5.0


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


FAULTS = (
    Fault(
        "everything is killed, two at a time",
        "everything is killed, two at a time, at random",
        _break_everything,
        Cast(gateways=2, workers=2, broker_nodes=1, database_members=1),
        recovers_within_s=60,
        in_tests=False,
    ),
)
