"""Both servers with TLS, and processes between them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.mongodb import MongoDB
from deploy.local.process import wait_for
from deploy.local.rabbitmq import RabbitMQ
from deploy.local.tls import Tls
from tests.harness.client import Client
from tests.harness.services import Gateway, Service, Worker

LOG_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class Servers:
    """A broker and a database that speak TLS only."""

    broker: RabbitMQ
    database: MongoDB


@contextmanager
def running_servers(folder: Path, tls: Tls) -> Iterator[Servers]:
    """Run both servers."""
    servers = Servers(RabbitMQ(folder / "rabbitmq", tls=tls), MongoDB(folder / "mongodb", tls=tls))
    try:
        for server in (servers.broker, servers.database):
            server.launch()
        for server in (servers.broker, servers.database):
            server.await_ready()
        yield servers
    finally:
        servers.broker.kill()
        servers.database.kill()


@asynccontextmanager
async def processes(folder: Path, **environment: str) -> AsyncIterator[tuple[Gateway, Worker]]:
    """Run a gateway and a worker; the caller waits for them."""
    gateway, worker = Gateway(folder, environment), Worker(folder, environment)
    try:
        gateway.launch()
        worker.launch()
        yield gateway, worker
    finally:
        # Not in the event loop's thread, which a front between them and a server may need.
        await asyncio.gather(asyncio.to_thread(gateway.stop), asyncio.to_thread(worker.stop))


def reasons(service: Service) -> list[str]:
    """Return why the process says that it does not go on."""
    return [str(line["reason"]) for line in service.logs() if "reason" in line]


def await_reason(service: Service, text: str, skip: int = 0) -> None:
    """Wait until the process has logged a reason with this text, after the first `skip`."""
    found = wait_for(lambda: any(text in one for one in reasons(service)[skip:]), LOG_DEADLINE_S)
    assert found, service.process.log_tail(40)


def assert_calm(*services: Service) -> None:
    """Check that nothing was logged as a bug: no traceback, no error."""
    for service in services:
        assert service.process.is_alive(), service.process.log_tail(40)
        text = "\n".join(service.process.log_lines())
        assert "Traceback" not in text, text
        assert '"level":"error"' not in text, text


async def assert_an_update_passes(gateway: Gateway, worker: Worker) -> None:
    """Wait for both, send an update through and read it back."""
    await asyncio.to_thread(gateway.await_ready)
    await asyncio.to_thread(worker.await_ready)
    update: dict[str, Any] = {
        "executionId": "over-tls",
        "metrics": [{"name": "loss", "value": 1, "step": 1}],
    }
    async with Client(gateway.url) as client:
        await client.accepted(update)
        assert (await client.resource("over-tls"))["metrics"][0]["value"] == 1
