"""Connections that break under load, and a database that refuses."""

import asyncio
import os
from pathlib import Path

from pymongo import MongoClient

from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.faults.proxy import Proxy
from tests.faults.scenario import started, under, until_sent, until_stored
from tests.harness.client import Client
from tests.harness.ledger import Outcome
from tests.harness.load import Load
from tests.harness.services import Site


def through(proxy: Proxy, url: str, port: int) -> str:
    return url.replace(f":{port}", f":{proxy.port}")


async def test_cutting_broker_connections_over_and_over_loses_and_doubles_nothing(
    site: Site, broker: RabbitMQ
) -> None:
    async with Proxy(broker.port) as to_gateway, Proxy(broker.port) as to_worker:
        gateway = site.gateway(AMQP_URL=through(to_gateway, site.amqp_url, broker.port))
        worker = site.worker(AMQP_URL=through(to_worker, site.amqp_url, broker.port))
        await started(gateway, worker)
        load = Load([gateway.url], connections=32, pause_s=0.01)
        async with under(load):
            for _ in range(6):
                await until_sent(load, 500)
                to_worker.cut()
                await until_sent(load, 300)
                to_gateway.cut()
        await until_stored(load, gateway)


async def test_a_database_that_blocks_writes_for_a_while_costs_nothing(
    site: Site, database: MongoDB
) -> None:
    gateway, worker = site.gateway(), site.worker()
    await started(gateway, worker)
    load = Load([gateway.url])
    with MongoClient[dict[str, object]](database.url) as mongo:
        async with under(load):
            await until_sent(load, 300)
            mongo.admin.command({"setUserWriteBlockMode": 1, "global": True})
            try:
                await until_sent(load, 1000)
            finally:
                mongo.admin.command({"setUserWriteBlockMode": 1, "global": False})
            await until_sent(load, 300)
    await until_stored(load, gateway)
    assert worker.metric("worker_dead_letters_total") == 0
    assert worker.metric("worker_database_failures_total") > 0


async def test_without_a_database_updates_are_accepted_and_reads_are_503(
    broker: RabbitMQ, tmp_path: Path
) -> None:
    database = MongoDB(tmp_path / "mongodb")
    await asyncio.to_thread(database.start)
    site = Site(broker, database, f"away-{os.getpid()}", tmp_path)
    gateway, worker = site.gateway(), site.worker()
    try:
        await started(gateway, worker)
        load = Load([gateway.url])
        async with under(load), Client(gateway.url) as client:
            await until_sent(load, 300)
            await asyncio.to_thread(database.kill)
            await until_sent(load, 1000)
            answers = await asyncio.gather(client.query(executionIds="some"), client.delete("some"))
            for answer in answers:
                assert (answer.status, answer.error["code"]) == (503, "02011033")
                assert answer.headers["Retry-After"]
            await asyncio.to_thread(database.start)
            await until_sent(load, 300)
        await until_stored(load, gateway)
        assert load.ledger.count(Outcome.ACCEPTED) == load.sent
    finally:
        await asyncio.to_thread(site.close)
        await asyncio.to_thread(database.kill)
