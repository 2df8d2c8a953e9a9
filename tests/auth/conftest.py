"""A gateway that wants tokens, for all tests that break neither it nor its issuer."""

import re
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from hypothesis import settings

from tests.auth.callers import Caller
from tests.auth.issuer import Issuer
from tests.harness.services import Gateway

# Properties are checked without a deadline: a busy machine is no counterexample.
settings.register_profile("logic", deadline=None)
settings.load_profile("logic")


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """An issuer that always behaves."""
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def guarded(
    gateway: Gateway, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that trusts the issuer. Whatever it logged, no token was in it."""
    variables = {"LOG_LEVEL": "debug"} | issuer.settings
    guarded = Gateway(tmp_path_factory.mktemp("guarded"), gateway.environment | variables)
    guarded.start()
    yield guarded
    guarded.stop()
    log = guarded.process.log.read_text()
    assert '"refused"' in log
    assert not re.search(r"eyJ[\w-]{10}|bearer (?!and a token|is not)", log, re.IGNORECASE)


@pytest.fixture
async def caller(guarded: Gateway) -> AsyncIterator[Caller]:
    """Somebody who sends requests to the gateway, in a resource group of this test's own."""
    async with Caller(guarded.url, resource_group=f"group-{uuid4().hex}") as caller:
        yield caller
