"""Compaction in the background of a worker: of what it wrote itself, and never in its way."""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from ingest.contract.documents import Document
from ingest.runtime.database import DATABASE_ERRORS, why_away
from worker.compaction.store import CompactionStore

log = logging.getLogger(__name__)

# What is forgotten beyond these is left to a sweep.
_MAX_COUNTED = 100_000
_MAX_DUE = 1_000
# Of its time, the share that compaction takes at most is one part of this many and one.
_REST_SHARE = 3
_PAUSE_S = 0.05
_CHECK_S = 1.0


class Compactor:
    """Count the small segments that a worker writes, and compact where there are many."""

    def __init__(
        self,
        store: CompactionStore,
        after_segments: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Compact a resource after so many small segments; 0 means never."""
        self._store = store
        self._after_segments = after_segments
        self._clock = clock
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._due: deque[tuple[float, str]] = deque()

    def note(self, written: Iterable[Document]) -> None:
        """Count segments that were written."""
        if not self._after_segments:
            return
        for segment in written:
            if segment["size"] >= self._store.limits.small_bytes:
                continue
            key = segment["resource"]
            count = self._counts.get(key, 0) + 1
            if count < self._after_segments:
                self._counts[key] = count
                if len(self._counts) > _MAX_COUNTED:
                    self._counts.popitem(last=False)  # the one that began longest ago
                continue
            self._counts.pop(key, None)
            if len(self._due) < _MAX_DUE:
                self._due.append((self._clock() + self._store.limits.min_age_s, key))

    async def run(self) -> None:
        """Compact what is due, for ever. A failure is logged, and left to the next time."""
        while True:
            if not self._due or self._due[0][0] > self._clock():
                await asyncio.sleep(_CHECK_S)
                continue
            _, key = self._due.popleft()
            try:
                await self._compact(key)
            except DATABASE_ERRORS as error:
                log.warning("not compacted", extra={"reason": why_away(error)})
                await asyncio.sleep(_CHECK_S)
            except Exception:  # a bug here must not end the worker
                log.exception("not compacted by a bug")

    async def _compact(self, key: str) -> None:
        started = self._clock()
        async for _ in self._store.compact(key):
            await asyncio.sleep(_PAUSE_S + _REST_SHARE * (self._clock() - started))
            started = self._clock()
