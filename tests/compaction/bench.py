"""What applies, deletes, compacts and reads, all in this process but the database."""

import itertools
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

from ingest.answer import encode_answer
from ingest.budget import Budget, Hold
from ingest.contract.documents import SEGMENTS, Document, run_texts, segments
from ingest.contract.points import Run, run_of
from ingest.runtime.database import Client, open_client, prepare_database
from ingest.store import Snapshot
from ingest.store import Store as GatewayStore
from worker.compaction.plan import Limits
from worker.compaction.store import CompactionStore
from worker.prepare import decode, prepare
from worker.store import Store as WorkerStore

# Everything is old enough, small enough, and worth it.
EAGER = Limits(full_bytes=1500, min_segments=2, min_age_s=-60)
# Everything is old enough.
AT_ONCE = Limits(min_age_s=-60)
SECTIONS = ("metrics", "tags", "customInfo")
_TIMEOUT_S = 30.0
_ENOUGH = 2**40
_numbers = itertools.count()


class Bench:
    """One database and all that works on it."""

    def __init__(self, client: Client, name: str) -> None:
        self.database = client[name]
        self.worker = WorkerStore(self.database)
        self.gateway = GatewayStore(client, name)
        self._budget = Budget("bytes", _ENOUGH, _ENOUGH)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, name: str) -> AsyncIterator[Self]:
        """Use a database for the block, which is prepared first."""
        client = open_client(url, "test", _TIMEOUT_S, _TIMEOUT_S)
        bench = cls(client, name)
        await prepare_database(bench.database)
        yield bench
        client.close()

    async def apply(self, *messages: bytes, worker: WorkerStore | None = None) -> None:
        """Apply messages in one batch, as a worker does."""
        units = [unit for unit, _ in map(decode, messages) if unit is not None]
        await (worker or self.worker).apply(prepare(units))

    async def compact(self, key: str, limits: Limits = EAGER) -> int:
        """Compact one resource; return how many segments there are fewer."""
        return sum([one async for one in CompactionStore(self.database, limits).compact(key)])

    async def insert(self, key: str, points: Iterable[list[dict[str, Any]]], begin: int) -> None:
        """Insert a segment for each list of points, as so many messages would leave."""
        waiting: list[Document] = []
        for number, of_update in enumerate(points):
            run: Run = run_of(begin + 1000 * number, of_update)
            waiting += segments(message_id(begin + 1000 * number), 0, key, run_texts(run))
            if len(waiting) == 5000:
                await self.database[SEGMENTS].insert_many(waiting, ordered=False)
                waiting = []
        if waiting:
            await self.database[SEGMENTS].insert_many(waiting, ordered=False)

    async def read(self, *keys: str) -> Any:
        """Return what a gateway answers to a query for resources."""
        async with self.snapshot() as snapshot:
            return await answer(snapshot, *keys)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Open a snapshot as a gateway does."""
        async with self.gateway.snapshot(Hold(self._budget, "default")) as snapshot:
            yield snapshot

    async def count_segments(self, key: str) -> int:
        """Count what is stored of a resource."""
        return await self.database[SEGMENTS].count_documents({"resource": key})

    async def count_points(self, key: str) -> int:
        """Count the stored points of a resource: one that is there twice, which no reader shows,
        counts twice."""
        found = self.database[SEGMENTS].find({"resource": key}, ["points"])
        return sum([one["points"] async for one in found])


async def answer(snapshot: Snapshot, *keys: str) -> Any:
    """Return what a gateway answers out of a snapshot."""
    resources = await snapshot.resources(keys)
    pieces = [piece async for piece in encode_answer(snapshot, resources, SECTIONS)]
    return json.loads(b"".join(pieces))["resources"]


def message_id(sequence: int) -> bytes:
    """Return an id that no other message of this process has."""
    return sequence.to_bytes(8, "big") + next(_numbers).to_bytes(4, "big")


def point(step: int, value: float = 0.5, name: str = "loss") -> dict[str, Any]:
    """Return a canonical point."""
    return {
        "name": name, "value": value, "step": step,
        "timestamp": f"2026-01-01T{step // 3600 % 24:02}:{step // 60 % 60:02}:{step % 60:02}.000Z",
    }  # fmt: skip
