"""Several of everything, and no setting says how many gateways or workers there are."""

import asyncio
import json
from pathlib import Path

import pytest

from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.topology import updates_queues
from tests.faults.stage import Cast, Servers, Stage, staged
from tests.faults.trial import settled
from tests.harness.ledger import Outcome
from tests.scale.queues import FOUR

DEADLINE_S = 90


async def leaders_of(stage: Stage) -> dict[str, str]:
    """Return each queue's leader, a node's name."""
    command = ("list_queues", "-p", stage.site.database_name, "name", "leader")
    listed = await stage.control(*command, "--formatter", "json")
    return {queue["name"]: queue["leader"] for queue in json.loads(listed)}


@pytest.mark.timeout(240)
async def test_three_gateways_and_three_workers_share_a_broker_cluster_and_a_replica_set(
    broker: RabbitMQ, database: MongoDB, tmp_path: Path
) -> None:
    cast = Cast(
        gateways=3, workers=3, broker_nodes=3, database_members=3, connections=24, settings=FOUR
    )
    async with staged(cast, Servers(broker, database), tmp_path, pace_s=0.005) as stage:
        for group in (stage.gateways, stage.workers):
            settings = [
                {name: text for name, text in one.environment.items() if "PORT" not in name}
                for one in group
            ]
            assert settings[0] == settings[1] == settings[2]
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(stage.load.run())
            await stage.sent(3000)
            stage.load.stop()
        verdict = await settled(stage.load, stage)
        assert verdict, verdict
        assert stage.load.ledger.count(Outcome.ACCEPTED) == stage.load.sent
        assert stage.load.surprises == []
        leaders = await leaders_of(stage)
        # Not all on the node of whoever declared them: a leader's core is what limits a queue.
        assert len({leaders[queue.name] for queue in updates_queues(4)}) > 1
        # Each had its part in it.
        for gateway in stage.gateways:
            assert gateway.metric("ingest_updates_accepted_total") > 100
        for worker in stage.workers:
            assert worker.metric("worker_entries_applied_total") > 100
