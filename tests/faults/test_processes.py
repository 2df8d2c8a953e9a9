"""Workers and gateways that are killed or told to stop, under load."""

import asyncio

from tests.faults.scenario import started, under, until_sent, until_stored
from tests.harness.ledger import Outcome
from tests.harness.load import Load
from tests.harness.services import Gateway, Site, Worker


async def test_killing_workers_over_and_over_loses_and_doubles_nothing(site: Site) -> None:
    gateway, workers = site.gateway(), [site.worker(), site.worker()]
    await started(gateway, *workers)
    load = Load([gateway.url], connections=64)
    async with under(load):
        for worker in workers * 2:
            await until_sent(load, 3000)
            await asyncio.to_thread(worker.kill)
            await until_sent(load, 1000)
            worker.launch()
    await until_stored(load, gateway)
    assert load.ledger.count(Outcome.ACCEPTED) == load.sent  # a gateway needs no worker


async def test_killing_a_gateway_loses_nothing_it_has_acknowledged(site: Site) -> None:
    gateways, worker = [site.gateway(), site.gateway()], site.worker()
    await started(*gateways, worker)
    load = Load([gateway.url for gateway in gateways])
    async with under(load):
        for gateway in gateways:
            await until_sent(load, 2000)
            await asyncio.to_thread(gateway.kill)
            await until_sent(load, 200)
            await started(gateway)
    await until_stored(load, gateways[0])
    assert load.ledger.count(Outcome.ACCEPTED) > load.sent / 2


async def test_a_gateway_told_to_stop_answers_what_it_has_begun(site: Site) -> None:
    gateway, worker = site.gateway(), site.worker()
    await started(gateway, worker)
    load = Load([gateway.url])
    async with under(load):
        await until_sent(load, 1000)
        gateway.terminate()
        assert await asyncio.to_thread(gateway.await_end) == 0
        load.stop()
    assert load.ledger.count(Outcome.REFUSED) == 0
    await started(gateway)
    await until_stored(load, gateway)


async def test_a_worker_told_to_stop_leaves_its_work_to_the_next(site: Site) -> None:
    gateway, first, second = site.gateway(), site.worker(), site.worker()
    await started(gateway, first)
    load = Load([gateway.url])
    async with under(load):
        await until_sent(load, 2000)
        first.terminate()
        assert await asyncio.to_thread(first.await_end) == 0
        await started(second)
    await until_stored(load, gateway)
    assert load.ledger.count(Outcome.ACCEPTED) == load.sent


def test_an_idle_service_stops_at_once(site: Site) -> None:
    services: list[Gateway | Worker] = [site.gateway(), site.worker()]
    for service in services:
        service.start()
        service.terminate()
        assert service.await_end() == 0
        assert service.logs()[-1]["message"] == "stopped"
