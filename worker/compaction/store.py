"""Compaction's side of the database: find small segments, and replace a group of them."""

import secrets
import time
from collections.abc import AsyncIterator

from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from ingest.contract.documents import (
    INDEXES,
    RESOURCES,
    SEGMENTS,
    prefix_range,
    run_texts,
    segment_runs,
    segments,
)
from ingest.contract.message import new_message_id
from ingest.runtime.database import Database
from worker import telemetry
from worker.compaction.plan import Limits, Plan, SmallSegment, ids_before, merged_runs

DEFAULT_LIMITS = Limits()
_ORIGIN_BYTES = 4
_PAGE = 1000
_SEGMENT_INDEX = next(fields for collection, fields in INDEXES if collection == SEGMENTS)
# Another transaction had one of the documents; or it is not known whether the commit arrived.
_HARMLESS = ("TransientTransactionError", "UnknownTransactionCommitResult")


class CompactionStore:
    """The database as compaction uses it. All that is done to a resource names it: its shard."""

    def __init__(self, database: Database, limits: Limits = DEFAULT_LIMITS) -> None:
        self._database = database
        self.limits = limits

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys of all resources that begin with `prefix`, in order; "" means all."""
        # In pages: a cursor that waits for more than ten minutes is closed by the server.
        condition = prefix_range(prefix) if prefix else {"$gte": ""}
        resources = self._database[RESOURCES]
        while True:
            found = resources.find({"_id": condition}, ["_id"]).sort("_id", 1).limit(_PAGE)
            page = [one["_id"] async for one in found]
            for key in page:
                yield key
            if len(page) < _PAGE:
                return
            condition = {**condition, "$gt": page[-1]}
            condition.pop("$gte", None)

    async def count(self, prefix: str) -> int:
        """Count the resources whose key begins with `prefix`."""
        condition = {"_id": prefix_range(prefix)} if prefix else {}
        return await self._database[RESOURCES].count_documents(condition)

    async def compact(self, key: str) -> AsyncIterator[int]:
        """Compact a resource; after each group, yield how many segments there are fewer.

        Raises:
            DATABASE_ERRORS: the database is away. What was yielded is done.
        """
        plan = Plan(self.limits)
        condition = {
            "resource": key,
            "size": {"$lt": self.limits.small_bytes},
            "_id": {"$lt": ids_before(time.time() - self.limits.min_age_s)},
        }
        found = self._database[SEGMENTS].find(condition, ["size", "points"])
        async for segment in found.hint([(field, 1) for field in _SEGMENT_INDEX]):
            if ids := plan.add(SmallSegment(segment["_id"], segment["size"], segment["points"])):
                yield await self._replace(key, ids)
        if ids := plan.rest():
            yield await self._replace(key, ids)

    async def remove_deleted(self, key: str) -> int:
        """Remove segments that a deletion has hidden; they came after it. Returns their number."""
        deleted = await self._deleted_at(key)
        if deleted is None:
            return 0
        result = await self._database[SEGMENTS].delete_many(
            {"resource": key, "lastSequence": {"$lte": deleted}}
        )
        return result.deleted_count

    async def _replace(self, key: str, ids: list[bytes]) -> int:
        """Replace segments by what is left of them, in one transaction; return how many fewer.

        If another compaction or a deletion is at it, nothing is done: that is no error.
        """
        started = time.perf_counter()
        try:
            inserted = await self._replaced(key, ids)
        except PyMongoError as error:
            if not any(error.has_error_label(label) for label in _HARMLESS):
                raise
            inserted = None
        if inserted is None:
            telemetry.COMPACTION_CONFLICTS.inc()
            return 0
        telemetry.COMPACTION_SECONDS.observe(time.perf_counter() - started)
        telemetry.COMPACTED_SEGMENTS.labels("removed").inc(len(ids))
        telemetry.COMPACTED_SEGMENTS.labels("written").inc(inserted)
        return len(ids) - inserted

    async def _replaced(self, key: str, ids: list[bytes]) -> int | None:
        """Return how many segments were written instead; None if not all were there any longer."""
        collection = self._database[SEGMENTS]
        these = {"_id": {"$in": ids}, "resource": key}
        async with (
            await self._database.client.start_session() as session,
            session.start_transaction(ReadConcern("snapshot")),
        ):
            deleted = await self._deleted_at(key, session)
            found = [one async for one in collection.find(these, ["runs"], session=session)]
            if len(found) < len(ids):
                await session.abort_transaction()
                return None
            runs = merged_runs((run for one in found for run in segment_runs(one)), deleted)
            message_id = new_message_id(time.time_ns(), secrets.token_bytes(_ORIGIN_BYTES))
            texts = (text for run in runs for text in run_texts(run))
            documents = segments(message_id, 0, key, texts) if runs else []
            await collection.delete_many(these, session=session)
            if documents:
                await collection.insert_many(documents, session=session)
        return len(documents)

    async def _deleted_at(self, key: str, session: object = None) -> int | None:
        resource = await self._database[RESOURCES].find_one(
            {"_id": key}, ["deletedAt"], session=session
        )
        return None if resource is None else resource.get("deletedAt")
