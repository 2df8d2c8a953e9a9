"""What every read does first: a snapshot that shows this gateway's own accepted updates."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ingest import telemetry
from ingest.store import Snapshot, Store
from ingest.visibility import Unseen

# Seconds between two looks: a worker needs some milliseconds, or there is a backlog.
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05


class Reader:
    """Open snapshots that show what was accepted before them."""

    def __init__(self, store: Store, unseen: Unseen, wait_s: float) -> None:
        self._store = store
        self._unseen = unseen
        self._wait_s = wait_s

    @asynccontextmanager
    async def of_resources(self, keys: list[str]) -> AsyncIterator[Snapshot]:
        """Open a snapshot that shows the accepted updates of some resources."""
        async with self._snapshot(lambda: self._unseen.of(keys)) as snapshot:
            yield snapshot

    @asynccontextmanager
    async def of_group(self, resource_group: str) -> AsyncIterator[Snapshot]:
        """Open a snapshot that shows the accepted updates of a whole resource group."""
        async with self._snapshot(lambda: self._unseen.of_group(resource_group)) as snapshot:
            yield snapshot

    @asynccontextmanager
    async def _snapshot(self, waited_for: Callable[[], set[bytes]]) -> AsyncIterator[Snapshot]:
        """Open snapshots until one shows all that is waited for, at most for the limit."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_s
        pause = _FIRST_PAUSE_S
        # Fixed now: what is accepted while this read waits is not before it.
        waiting = waited_for()
        while True:
            async with self._store.snapshot() as snapshot:
                if waiting:
                    settled = await snapshot.present_segments(waiting)
                    if settled < waiting:
                        # A deletion, perhaps through another gateway, may have removed them.
                        keys = self._unseen.keys(waiting - settled)
                        deletions = await snapshot.deletions(keys)
                        settled |= self._unseen.deleted(waiting - settled, deletions)
                    self._unseen.seen(settled)
                    waiting -= settled
                if not waiting or loop.time() + pause > deadline:
                    if waiting:
                        telemetry.READ_WAIT_TIMEOUTS.inc()
                    yield snapshot
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
