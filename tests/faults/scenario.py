"""What fault tests do: start processes, run a load, wait, and compare with the ledger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.harness.load import Load
from tests.harness.services import Gateway, Service

DRAINED_DEADLINE_S = 60


@asynccontextmanager
async def under(load: Load) -> AsyncIterator[None]:
    """Run a load around the block."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        try:
            yield
        finally:
            load.stop()


async def until_sent(load: Load, count: int) -> None:
    """Wait until the load has sent so many more updates."""
    wanted = load.sent + count
    async with asyncio.timeout(60):
        while load.sent < wanted:
            await asyncio.sleep(0.01)


async def until_stored(load: Load, gateway: Gateway) -> None:
    """Wait until all that was accepted is stored; fail with what is wrong if it never is."""
    verdict = load.ledger.check(await load.stored(gateway.url))
    deadline = asyncio.get_running_loop().time() + DRAINED_DEADLINE_S
    while verdict.lost and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.2)
        verdict = load.ledger.check(await load.stored(gateway.url))
    assert verdict, verdict


async def started(*services: Service) -> None:
    """Start processes side by side and wait until all are ready."""
    for service in services:
        service.launch()
    for service in services:
        await asyncio.to_thread(service.await_ready)
