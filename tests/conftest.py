"""Real servers for all tests, started once; a missing one is an error, never a skip."""

import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.harness.client import Client
from tests.harness.services import Gateway, Site

_numbers = itertools.count(1)

# A run in the background of a script begins with SIGINT ignored, which all processes that it starts
# would inherit: those that are tested for Ctrl-C as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A RabbitMQ for the whole run."""
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoDB]:
    """A MongoDB for the whole run."""
    server = MongoDB(tmp_path_factory.mktemp("mongodb"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(broker: RabbitMQ, database: MongoDB, tmp_path: Path) -> Iterator[Site]:
    """A virtual host and a database of this test's own; start there what the test needs."""
    site = Site(broker, database, f"test-{os.getpid()}-{next(_numbers)}", tmp_path)
    yield site
    site.close()


@pytest.fixture(scope="session")
def gateway(
    broker: RabbitMQ, database: MongoDB, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway, with a worker behind it, for all tests that break nothing."""
    site = Site(broker, database, "shared", tmp_path_factory.mktemp("shared"))
    gateway, worker = site.gateway(), site.worker()
    gateway.launch()
    worker.launch()
    gateway.await_ready()
    worker.await_ready()
    yield gateway
    site.close()


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    """A client of the shared gateway, with a resource group of this test's own."""
    async with Client(gateway.url, resource_group=f"group-{uuid4().hex}") as client:
        yield client


@pytest.fixture
def execution_id() -> str:
    """A new execution's id."""
    return str(uuid4())
