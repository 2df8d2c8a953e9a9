"""What the gateway reads from the database and deletes there.

Reads happen in a snapshot: all queries of one answer see the same moment, so an answer never
shows half of an update or of a compaction. The server keeps a snapshot for 5 minutes (its
parameter minSnapshotHistoryWindowInSeconds); an answer that takes longer is broken off.

Whatever is about certain resources names them by the shard key (see contract/documents.py), also
where the rest of the condition says as much: so a sharded cluster asks only their shards. A search
through a whole group asks all.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from bson import decode_iter
from pymongo import ReturnDocument

from ingest.budget import Hold
from ingest.contract.documents import (
    CUSTOM_INFO,
    RESOURCES,
    SEGMENTS,
    TAGS,
    Document,
    deletion,
    prefix_range,
    segment_runs,
)
from ingest.contract.merge import is_visible
from ingest.runtime.database import Client, Database

# Segments that one round trip brings: at most 2 MiB each, and 16 MiB in all by the protocol.
_SEGMENT_BATCH = 200
_PAGE = 1000
# Batches of segments that are fetched at once: their size is only known when they are there.
_CONCURRENT_FETCHES = 4


class Snapshot:
    """The stored state at one moment. Not for concurrent use."""

    def __init__(
        self, database: Database, session: Any, hold: Hold, fetches: asyncio.Semaphore
    ) -> None:
        """Read in a session; segments count in `hold`, and are fetched within `fetches`."""
        self._database = database
        self._session = session
        self._hold = hold
        self._fetches = fetches

    def _find(self, collection: str, condition: Document, fields: Sequence[str] = ()) -> Any:
        projection = dict.fromkeys(fields, 1) if fields else None
        return self._database[collection].find(condition, projection, session=self._session)

    async def present_segments(self, segments: Mapping[bytes, str]) -> set[bytes]:
        """Return those of the given segment ids, with their resources' keys, that are stored."""
        condition = {
            "_id": {"$in": list(segments)},
            "resource": {"$in": list(set(segments.values()))},
        }
        cursor = self._find(SEGMENTS, condition, ["_id"])
        return {document["_id"] async for document in cursor}

    async def deletions(self, keys: Collection[str]) -> dict[str, int]:
        """Return when resources were deleted, those that ever were."""
        condition = {"_id": {"$in": list(keys)}, "deletedAt": {"$exists": True}}
        cursor = self._find(RESOURCES, condition, ["deletedAt"])
        return {document["_id"]: document["deletedAt"] async for document in cursor}

    async def resources(self, keys: Collection[str]) -> list[Document]:
        """Return the visible resources among `keys`, ordered by key."""
        cursor = self._find(RESOURCES, {"_id": {"$in": list(keys)}}).sort("_id", 1)
        return await self._visible([document async for document in cursor])

    async def resource_pages(self, resource_group: str) -> AsyncIterator[list[Document]]:
        """Yield all visible resources of a group, ordered by key, in pages."""
        condition = {"_id": prefix_range(resource_group + "/")}
        cursor = self._find(RESOURCES, condition).sort("_id", 1)
        while page := await cursor.to_list(_PAGE):
            yield await self._visible(page)

    async def _visible(self, resources: list[Document]) -> list[Document]:
        """Return those of some stored resources that have got any update since their deletion."""
        doubtful = [one["_id"] for one in resources if not _exists(one)]
        latest = await self.latest(doubtful) if doubtful else {}
        return [
            one
            for one in resources
            if _exists(one) or is_visible(latest.get(one["_id"]), one.get("deletedAt"))
        ]

    async def latest(self, keys: Collection[str]) -> dict[str, int]:
        """Return the sequence of the latest update of each resource that has any segment."""
        return await _latest(self._database, keys, self._session)

    async def tagged_pages(self, resource_group: str, tag: Document) -> AsyncIterator[list[str]]:
        """Yield, in pages and in order, the keys of resources that ever had a tag.

        `tag` holds `name` and, unless any will do, `entry.value`.
        """
        # A resource has at most one tag of a name, so no key comes twice.
        condition = {"resourceGroup": resource_group, **tag}
        cursor = self._find(TAGS, condition, ["resource"]).sort("resource", 1)
        while page := await cursor.to_list(_PAGE):
            yield [document["resource"] for document in page]

    async def tags_by_id(self, tags: Mapping[str, str]) -> list[Document]:
        """Return those of the given tags' ids (documents.value_id), with their resources' keys."""
        condition = {
            "_id": {"$in": list(tags)},
            "resource": {"$in": list(set(tags.values()))},
        }
        return [document async for document in self._find(TAGS, condition)]

    async def tags(self, resource: Document) -> AsyncIterator[Document]:
        """Yield the visible tags of a resource as {name, value}, ordered by name."""
        async for item in self._values(TAGS, resource):
            yield item

    async def custom_info(self, resource: Document) -> AsyncIterator[Document]:
        """Yield the visible custom info of a resource as {name, value}, ordered by name."""
        async for item in self._values(CUSTOM_INFO, resource):
            yield item

    async def _values(self, collection: str, resource: Document) -> AsyncIterator[Document]:
        condition = {"_id": prefix_range(resource["_id"] + "/"), "resource": resource["_id"]}
        async for item in self._find(collection, condition).sort("_id", 1):
            if is_visible(item["entry"]["sequence"], resource.get("deletedAt")):
                yield {"name": item["name"], "value": item["entry"]["value"]}

    async def segments(self, resource: Document) -> AsyncIterator[Document]:
        """Yield a resource's segments in the order of their first points.

        Raises:
            RequestError: GROUP_LIMITED or OVERLOADED, as reads hold too much already.
        """
        condition: Document = {"resource": resource["_id"]}
        # In batches as they come, decoded one by one: so their size is known, and memory holds
        # what is large only once.
        cursor = (
            self._database[SEGMENTS]
            .find_raw_batches(condition, session=self._session)
            .sort([("firstStep", 1), ("firstTimestamp", 1)])
            .batch_size(_SEGMENT_BATCH)
        )
        batches = aiter(cursor)
        while True:
            # Those that are counted don't queue behind those whose size is not yet known.
            async with nullcontext() if self._hold.counted else self._fetches:
                batch = await anext(batches, None)
            if batch is None:
                return
            if len(batch) > self._hold.counted:
                self._hold.count(len(batch))
            for segment in decode_iter(batch):
                if is_visible(segment["lastSequence"], resource.get("deletedAt")):
                    yield segment

    async def created(self, resource: Document, latest: int) -> int:
        """Return the sequence of the first update that is visible; `latest` is that of the last.

        After a deletion createdAt tells of an earlier life, if there is one. Then the segments
        know: every update has left one.
        """
        deleted = resource.get("deletedAt")
        if _exists(resource):
            return int(resource["createdAt"])
        condition = {"resource": resource["_id"], "lastSequence": {"$gt": deleted}}
        first = latest
        async for segment in self._find(SEGMENTS, condition, ["firstSequence"]):
            if is_visible(segment["firstSequence"], deleted):
                first = min(first, segment["firstSequence"])
            else:  # it was begun before the deletion and ended after it
                whole = await self._database[SEGMENTS].find_one(
                    {"_id": segment["_id"], "resource": resource["_id"]}, session=self._session
                )
                visible = (one for one, _ in segment_runs(whole or {}) if is_visible(one, deleted))
                first = min(first, *visible)
        return first


class Store:
    """The database as the gateway uses it."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.database: Database = client[name]
        self._fetches = asyncio.Semaphore(_CONCURRENT_FETCHES)

    @asynccontextmanager
    async def snapshot(self, hold: Hold) -> AsyncIterator[Snapshot]:
        """Open a snapshot. Its moment is that of the first query in it."""
        async with await self._client.start_session(snapshot=True) as session:
            yield Snapshot(self.database, session, hold, self._fetches)

    async def delete(self, key: str, sequence: int) -> bool:
        """Hide everything that a resource got up to `sequence`; tell whether any was stored.

        It is also written down for a resource of which nothing is stored: updates that were
        received before may still be on the queue.
        """
        before = await self.database[RESOURCES].find_one_and_update(
            {"_id": key},
            deletion(sequence),
            upsert=True,
            return_document=ReturnDocument.BEFORE,
        )
        resource = before or {}
        if _exists(resource):
            return True
        latest = await _latest(self.database, [key])
        return is_visible(latest.get(key), resource.get("deletedAt"))

    async def purge(self, key: str, sequence: int) -> None:
        """Remove what a deletion has hidden. Should it be cut short, the rest stays hidden."""
        await self.database[SEGMENTS].delete_many(
            {"resource": key, "lastSequence": {"$lte": sequence}}
        )
        for collection in (TAGS, CUSTOM_INFO):
            await self.database[collection].delete_many(
                {
                    "_id": prefix_range(key + "/"),
                    "resource": key,
                    "entry.sequence": {"$lte": sequence},
                }
            )


def _exists(resource: Document) -> bool:
    """Tell whether a stored resource has not been deleted since its first update.

    If it has, its segments tell whether there were others after that: see Snapshot.latest.
    """
    return is_visible(resource.get("createdAt"), resource.get("deletedAt"))


async def _latest(database: Database, keys: Collection[str], session: Any = None) -> dict[str, int]:
    # All of it is in the index.
    cursor = database[SEGMENTS].aggregate(
        [
            {"$match": {"resource": {"$in": list(keys)}}},
            {"$group": {"_id": "$resource", "latest": {"$max": "$lastSequence"}}},
        ],
        session=session,
    )
    return {document["_id"]: document["latest"] async for document in cursor}
