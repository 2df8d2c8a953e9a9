"""Several of everything, and no setting says how many."""

import asyncio
from pathlib import Path

import pytest

from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.faults.stage import Cast, Servers, staged
from tests.faults.trial import settled
from tests.harness.ledger import Outcome

DEADLINE_S = 90


@pytest.mark.timeout(240)
async def test_three_gateways_and_three_workers_share_a_broker_cluster_and_a_replica_set(
    broker: RabbitMQ, database: MongoDB, tmp_path: Path
) -> None:
    cast = Cast(gateways=3, workers=3, broker_nodes=3, database_members=3, connections=24)
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
        # Each had its part in it.
        for gateway in stage.gateways:
            assert gateway.metric("ingest_updates_accepted_total") > 100
        for worker in stage.workers:
            assert worker.metric("worker_entries_applied_total") > 100
