"""The stage of a trial: servers, the links to them, gateways, workers, and a load."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from deploy.local.mongodb import MongoDB
from deploy.local.ports import LOOPBACK
from deploy.local.rabbitmq import Epmd, RabbitMQ
from tests.faults.proxy import Proxy
from tests.harness.load import Load
from tests.harness.services import Gateway, Site, Worker, start_all

_numbers = itertools.count(1)
_SENT_DEADLINE_S = 120


class Link(Enum):
    """A connection that a proxy stands in."""

    GATEWAY_BROKER = "gateway to broker"
    GATEWAY_DATABASE = "gateway to database"
    WORKER_BROKER = "worker to broker"
    WORKER_DATABASE = "worker to database"


_BROKER_LINKS = frozenset({Link.GATEWAY_BROKER, Link.WORKER_BROKER})


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part. A number of nodes or members means a server of the trial's own."""

    gateways: int = 1
    workers: int = 1
    broker_nodes: int = 0
    database_members: int = 0
    links: frozenset[Link] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)
    connections: int = 16


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers that trials share: those that break no server."""

    broker: RabbitMQ
    database: MongoDB


@dataclass(slots=True)
class Stage:
    """Everything that a fault can break, and the load that goes on meanwhile."""

    site: Site
    nodes: list[RabbitMQ]
    database: MongoDB
    links: dict[Link, Proxy]
    gateways: list[Gateway]
    workers: list[Worker]
    load: Load

    @property
    def broker(self) -> RabbitMQ:
        """The only node, or the first."""
        return self.nodes[0]

    async def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl`."""
        return await asyncio.to_thread(self.broker.control, *arguments)

    async def sent(self, count: int) -> None:
        """Wait until the load has sent so many more updates."""
        wanted = self.load.sent + count
        async with asyncio.timeout(_SENT_DEADLINE_S):
            while self.load.sent < wanted:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def staged(cast: Cast, servers: Servers, folder: Path, pace_s: float) -> AsyncIterator[Stage]:
    """Set a stage up, with the load not yet running, and clear it away."""
    async with AsyncExitStack() as stack:
        nodes = [servers.broker]
        if cast.broker_nodes:
            nodes = await stack.enter_async_context(_own_broker(cast.broker_nodes, folder))
        database = servers.database
        if cast.database_members:
            database = await stack.enter_async_context(_own_database(cast.database_members, folder))
        name = f"trial-{os.getpid()}-{next(_numbers)}"
        site = await asyncio.to_thread(Site, nodes[0], database, name, folder)
        stack.push_async_callback(asyncio.to_thread, site.close)
        links = {
            link: await stack.enter_async_context(Proxy(*_ports(link, nodes, database)))
            for link in cast.links | (_BROKER_LINKS if len(nodes) > 1 else frozenset())
        }
        to_gateways = _addresses(site, nodes, links, Link.GATEWAY_BROKER, Link.GATEWAY_DATABASE)
        to_workers = _addresses(site, nodes, links, Link.WORKER_BROKER, Link.WORKER_DATABASE)
        gateways = [site.gateway(**to_gateways, **cast.settings) for _ in range(cast.gateways)]
        workers = [site.worker(**to_workers, **cast.settings) for _ in range(cast.workers)]
        await start_all(*gateways, *workers)
        urls = [gateway.url for gateway in gateways]
        load = Load(urls, connections=cast.connections, pace_s=pace_s)
        yield Stage(site, nodes, database, links, gateways, workers, load)


def _ports(link: Link, nodes: list[RabbitMQ], database: MongoDB) -> list[int]:
    return [node.port for node in nodes] if link in _BROKER_LINKS else [database.members[0].port]


def _addresses(
    site: Site, nodes: list[RabbitMQ], links: dict[Link, Proxy], to_broker: Link, to_database: Link
) -> dict[str, str]:
    """Return the settings that lead a process through the links that there are."""
    addresses = {}
    if to_broker in links:
        port = links[to_broker].port
        addresses["AMQP_URL"] = site.amqp_url.replace(f":{nodes[0].port}", f":{port}")
    if to_database in links:
        # Direct: else the driver would go round the proxy to the address that the member names.
        port = links[to_database].port
        addresses["MONGODB_URL"] = f"mongodb://{LOOPBACK}:{port}/?directConnection=true"
    return addresses


@asynccontextmanager
async def _own_broker(count: int, folder: Path) -> AsyncIterator[list[RabbitMQ]]:
    epmd = Epmd(folder / "erlang")
    nodes = [
        RabbitMQ(folder / f"rabbit-{number}", name=f"rabbit-{number}", epmd=epmd)
        for number in range(count)
    ]

    def start() -> None:
        epmd.start()
        for node in nodes:
            node.launch()
        for node in nodes:
            node.await_ready()
        for node in nodes[1:]:
            node.join(nodes[0])

    def end() -> None:
        for node in nodes:
            node.kill()
        epmd.kill()

    try:
        await asyncio.to_thread(start)
        yield nodes
    finally:
        await asyncio.to_thread(end)


@asynccontextmanager
async def _own_database(members: int, folder: Path) -> AsyncIterator[MongoDB]:
    database = MongoDB(folder / "mongodb", members=members, cache_gb=0.25)
    try:
        await asyncio.to_thread(database.start)
        yield database
    finally:
        await asyncio.to_thread(database.kill)
