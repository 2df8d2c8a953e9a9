"""Several gateways on one port of one machine, and what becomes of connections when one ends."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import pytest

from deploy.local.ports import LOOPBACK
from deploy.local.process import wait_for
from tests.harness.client import Client
from tests.harness.ledger import Outcome
from tests.harness.load import Load
from tests.harness.services import Gateway, Site, start_all
from tests.harness.settled import load_settled

DEADLINE_S = 30
REQUEST = b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n"


def on_one_port(site: Site, *reuse: str) -> list[Gateway]:
    gateways = [site.gateway(INGEST_REUSE_PORT=value) for value in reuse]
    for gateway in gateways[1:]:
        gateway.port = gateways[0].port
        gateway.environment["INGEST_PORT"] = str(gateway.port)
    return gateways


def accepted_by(gateway: Gateway) -> float:
    return gateway.metric("ingest_updates_accepted_total")


def has_accepted(gateway: Gateway) -> bool:
    return accepted_by(gateway) > 0


@asynccontextmanager
async def running(load: Load) -> AsyncIterator[None]:
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        try:
            yield
        finally:
            load.stop()


async def test_gateways_share_a_port_and_one_goes_on_alone(site: Site) -> None:
    gateways = on_one_port(site, "yes", "yes")
    first, second = gateways
    worker = site.worker()
    await start_all(*gateways, worker)
    # So many connections that the kernel gives all to one gateway once in 2^39 runs.
    load = Load([first.url], connections=40, pace_s=0.02)
    async with running(load):
        for gateway in gateways:
            assert await asyncio.to_thread(wait_for, partial(has_accepted, gateway), 20)
        await asyncio.to_thread(first.kill)
        before = accepted_by(second)
        assert await asyncio.to_thread(wait_for, lambda: accepted_by(second) > before + 200, 20)
    assert load.ledger.count(Outcome.REFUSED) == 0
    assert load.ledger.count(Outcome.UNANSWERED) <= 40  # one for each connection that broke
    verdict = await load_settled(load, site, [second])
    assert verdict, verdict


@pytest.mark.parametrize("reuse", [("no", "no"), ("no", "yes"), ("yes", "no")])
def test_a_gateway_on_a_port_that_is_not_shared_fails_loudly(
    site: Site, reuse: tuple[str, str]
) -> None:
    first, second = on_one_port(site, *reuse)
    first.start()
    second.launch()
    assert second.await_end() == 1
    last = second.logs()[-1]
    assert last["level"] == "error"
    assert "INGEST_PORT: " in last["reason"]
    assert "in use" in last["reason"]
    assert first.is_ready()


@contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    connections = [socket.create_connection((LOOPBACK, port), timeout=20) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("reuse", ["no", "yes"])
def test_connections_that_wait_to_be_accepted_are_served_by_a_gateway_told_to_stop(
    site: Site, reuse: str
) -> None:
    gateway = site.gateway(INGEST_REUSE_PORT=reuse)
    gateway.start()
    identity = gateway.process.identity
    assert identity is not None
    identity.send(signal.SIGSTOP)
    try:
        with connected(gateway.port, 300) as connections:
            for connection in connections:
                connection.sendall(REQUEST)
            identity.send(signal.SIGTERM)
            identity.send(signal.SIGCONT)
            answers = {connection.recv(15) for connection in connections}
    finally:
        identity.send(signal.SIGCONT)
    assert answers == {b"HTTP/1.1 200 OK"}
    assert gateway.await_end() == 0


async def test_a_gateway_that_stops_hands_its_port_over_to_the_others(site: Site) -> None:
    gateways = on_one_port(site, "yes", "yes", "yes")
    await start_all(*gateways, site.worker())
    load = Load([gateways[0].url], connections=30, pace_s=0.02)
    async with running(load):
        for gateway in gateways[:2]:
            assert await asyncio.to_thread(wait_for, partial(has_accepted, gateway), 20)
            gateway.terminate()
            assert await asyncio.to_thread(gateway.await_end) == 0
        async with Client(gateways[2].url) as client:
            for number in range(20):
                await client.accepted({"executionId": f"after-{number}"})
    assert load.ledger.count(Outcome.REFUSED) == 0
    verdict = await load_settled(load, site, gateways[2:])
    assert verdict, verdict
