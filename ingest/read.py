"""What every read does first: a snapshot that shows this gateway's own accepted updates."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ingest import telemetry
from ingest.budget import Budget, Hold
from ingest.store import Snapshot, Store
from ingest.visibility import Unseen

# Seconds between two looks: a worker needs some milliseconds, or there is a backlog.
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05
# Reads that hold no more at a time are not counted.
_SMALL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ReadBudgets:
    """How many reads there may be that wait or answer, and the bytes of points that they hold.

    Those that wait don't take the place of those that answer: when the workers are behind, every
    read of what was just accepted waits, and others need not.
    """

    waiting: Budget
    answering: Budget
    held_bytes: Budget


class Reader:
    """Open snapshots that show what was accepted before them."""

    def __init__(self, store: Store, unseen: Unseen, wait_s: float, budgets: ReadBudgets) -> None:
        self._store = store
        self._unseen = unseen
        self._wait_s = wait_s
        self._budgets = budgets

    @asynccontextmanager
    async def of_resources(self, resource_group: str, keys: list[str]) -> AsyncIterator[Snapshot]:
        """Open a snapshot that shows the accepted updates of some of a group's resources.

        Raises:
            RequestError: GROUP_LIMITED or OVERLOADED, as there are more reads than may be.
        """
        async with self._snapshot(resource_group, lambda: self._unseen.of(keys)) as snapshot:
            yield snapshot

    @asynccontextmanager
    async def of_group(self, resource_group: str) -> AsyncIterator[Snapshot]:
        """Open a snapshot that shows the accepted updates of a whole resource group.

        Raises:
            RequestError: as above.
        """
        async with self._snapshot(
            resource_group, lambda: self._unseen.of_group(resource_group)
        ) as snapshot:
            yield snapshot

    @asynccontextmanager
    async def _snapshot(
        self, resource_group: str, waited_for: Callable[[], dict[bytes, str]]
    ) -> AsyncIterator[Snapshot]:
        """Open a snapshot, once it shows all that is waited for or the time is up."""
        # Fixed now: what is accepted while this read waits is not before it.
        waiting = waited_for()
        budgets = self._budgets
        async with AsyncExitStack() as stack:
            hold = stack.enter_context(Hold(budgets.held_bytes, resource_group, _SMALL_BYTES))
            if waiting:
                with budgets.waiting.reserved(resource_group, 1):
                    snapshot = await self._wait(waiting, hold, stack)
            else:
                snapshot = await stack.enter_async_context(self._store.snapshot(hold))
            with budgets.answering.reserved(resource_group, 1):
                yield snapshot

    async def _wait(self, waiting: dict[bytes, str], hold: Hold, stack: AsyncExitStack) -> Snapshot:
        """Open snapshots until one shows all of `waiting`, at most for the limit.

        The last of them is returned, and closed by `stack`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_s
        pause = _FIRST_PAUSE_S
        while True:
            async with AsyncExitStack() as attempt:
                snapshot = await attempt.enter_async_context(self._store.snapshot(hold))
                for segment in await self._settled(snapshot, waiting):
                    del waiting[segment]
                if not waiting or loop.time() + pause > deadline:
                    if waiting:
                        telemetry.READ_WAIT_TIMEOUTS.inc()
                    stack.push_async_exit(attempt.pop_all())
                    return snapshot
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _settled(self, snapshot: Snapshot, waiting: dict[bytes, str]) -> set[bytes]:
        """Return those segments that a snapshot shows, or that a deletion has removed."""
        settled = await snapshot.present_segments(waiting)
        missing = {segment: key for segment, key in waiting.items() if segment not in settled}
        if missing:
            # A deletion, perhaps through another gateway, may have removed them.
            deletions = await snapshot.deletions(set(missing.values()))
            settled |= self._unseen.deleted(missing, deletions)
        self._unseen.seen({segment: waiting[segment] for segment in settled})
        return settled
