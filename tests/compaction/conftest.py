"""A database of one test's own, used as worker, gateway and compaction use it."""

from collections.abc import AsyncIterator

import pytest

from tests.compaction.bench import Bench
from tests.harness.services import Site


@pytest.fixture
async def bench(site: Site) -> AsyncIterator[Bench]:
    """A database, prepared."""
    async with Bench.open(site.database_url, site.environment["MONGODB_DATABASE"]) as bench:
        yield bench
