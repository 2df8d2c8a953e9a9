"""The servers that the manifests' own settings are tried with."""

from collections.abc import Iterator

import pytest

from tests.deploy.objects import overlay
from tests.deploy.servers import GuardedMongoDB, WatchedRabbitMQ


@pytest.fixture(scope="session")
def watched_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedRabbitMQ]:
    """A broker with management and metrics."""
    server = WatchedRabbitMQ(tmp_path_factory.mktemp("watched-rabbitmq"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def guarded_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedMongoDB]:
    """A database with the users of the production overlay."""
    folder = tmp_path_factory.mktemp("guarded-mongodb")
    server = GuardedMongoDB(folder, overlay("production"))
    server.start()
    yield server
    server.stop()
