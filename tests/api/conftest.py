"""Gateways with limits of their own, beside the shared one: on its queue, with its worker."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from tests.harness.client import Client
from tests.harness.services import Gateway

# 100 values of this length fill customInfo up to its 5 MiB.
LONG_VALUE_CHARS = 52_000


@pytest.fixture(scope="session")
def strict(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that takes only small bodies, and only in half a second."""
    settings = {"INGEST_MAX_BODY_BYTES": "10000", "INGEST_BODY_TIMEOUT_S": "0.5"}
    yield from _running(Gateway(tmp_path_factory.mktemp("strict"), gateway.environment | settings))


@pytest.fixture(scope="session")
def splitting(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose broker takes only small messages."""
    settings = {"INGEST_MAX_MESSAGE_BYTES": "1048576"}
    yield from _running(
        Gateway(tmp_path_factory.mktemp("splitting"), gateway.environment | settings)
    )


@pytest.fixture(scope="session")
def roomy(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that lets single values of customInfo be as long as the whole may be."""
    settings = {"INGEST_MAX_CUSTOM_INFO_VALUE_CHARS": str(LONG_VALUE_CHARS)}
    yield from _running(Gateway(tmp_path_factory.mktemp("roomy"), gateway.environment | settings))


@pytest.fixture
async def other_group(gateway: Gateway) -> AsyncIterator[Client]:
    """A client of the shared gateway in another resource group than `client`."""
    async with Client(gateway.url, resource_group=f"other-{uuid4().hex}") as client:
        yield client


def _running(gateway: Gateway) -> Iterator[Gateway]:
    gateway.start()
    yield gateway
    gateway.stop()
