"""The answer to a query: which resources match, and their JSON, piece by piece.

Memory: the matching resources without their points (at most `$top`), and of the points only the
segments that overlap in (step, timestamp) at the place being written: a run that was logged
roughly in order needs a few segments, one logged in a random order all of its points.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from itertools import islice

import orjson

from ingest.contract.documents import Document, segment_runs, value_id
from ingest.contract.merge import is_visible
from ingest.contract.message import resource_key
from ingest.contract.points import Point, PointMerger
from ingest.contract.timestamps import timestamp_from_ns
from ingest.query_parameters import Query
from ingest.store import Snapshot
from ingest.tag_filters import TagFilter

# Points that are encoded in one go: short enough not to hold up other requests.
_POINTS_PER_PIECE = 200
# Resources whose latest updates are looked up at once.
_RESOURCES_PER_LOOKUP = 100
# Tags looked up at once to decide about tag filters.
_TAGS_PER_LOOKUP = 10_000


async def matching_resources(
    snapshot: Snapshot, resource_group: str, query: Query
) -> list[Document] | None:
    """Return the page of resources a query asks for, ordered by execution id.

    None means that no resource matches the query on any page.
    """
    page: list[Document] = []
    matches = 0
    async for candidates in _candidates(snapshot, resource_group, query):
        for resource in await _filtered(snapshot, candidates, query.tag_filters):
            matches += 1
            if matches > query.skip:
                page.append(resource)
                if len(page) == query.top:
                    return page
    return page if matches else None


async def _candidates(
    snapshot: Snapshot, resource_group: str, query: Query
) -> AsyncIterator[list[Document]]:
    """Yield, in order, resources among which are all that match; by an index if one helps."""
    if query.execution_ids:
        keys = [resource_key(resource_group, one) for one in query.execution_ids]
        yield await snapshot.resources(keys)
        return
    positive = [one for one in query.tag_filters if not one.negated]
    if not positive:
        async for resources in snapshot.resource_pages(resource_group):
            yield resources
        return
    selective = max(positive, key=lambda one: one.value is not None)
    tag: Document = {"name": selective.name}
    if selective.value is not None:
        tag["entry.value"] = selective.value
    async for keys in snapshot.tagged_pages(resource_group, tag):
        yield await snapshot.resources(keys)


async def _filtered(
    snapshot: Snapshot, resources: list[Document], filters: list[TagFilter]
) -> list[Document]:
    """Return those of the resources for which all filters hold."""
    if not filters:
        return resources
    names = {one.name for one in filters}
    step = max(1, _TAGS_PER_LOOKUP // len(names))
    result = []
    for start in range(0, len(resources), step):
        part = resources[start : start + step]
        ids = {value_id(one["_id"], name): one["_id"] for one in part for name in names}
        stored = {tag["_id"]: tag["entry"] for tag in await snapshot.tags_by_id(ids)}
        for resource in part:
            tags = {
                name: entry["value"]
                for name in names
                if (entry := stored.get(value_id(resource["_id"], name))) is not None
                and is_visible(entry["sequence"], resource.get("deletedAt"))
            }
            if all(one.holds(tags) for one in filters):
                result.append(resource)
    return result


async def encode_answer(
    snapshot: Snapshot, resources: list[Document], sections: Collection[str]
) -> AsyncIterator[bytes]:
    """Yield the JSON of an answer in pieces."""
    yield b'{"count":%d,"resources":[' % len(resources)
    latest: dict[str, int] = {}
    for number, resource in enumerate(resources):
        if number % _RESOURCES_PER_LOOKUP == 0:
            some = resources[number : number + _RESOURCES_PER_LOOKUP]
            latest = await snapshot.latest([one["_id"] for one in some])
        if number:
            yield b","
        last = latest.get(resource["_id"], 0)
        async for piece in _encode_resource(snapshot, resource, last, sections):
            yield piece
    yield b"]}"


async def _encode_resource(
    snapshot: Snapshot, resource: Document, latest: int, sections: Collection[str]
) -> AsyncIterator[bytes]:
    created = await snapshot.created(resource, latest)
    head = {
        "executionId": resource["_id"].partition("/")[2],
        "createdAt": timestamp_from_ns(created),
        # A resource is stored before its first segment is.
        "modifiedAt": timestamp_from_ns(max(created, latest)),
    }
    yield orjson.dumps(head)[:-1]
    if "metrics" in sections:
        yield b',"metrics":['
        first = True
        async for points in _merged_points(snapshot, resource):
            while piece := list(islice(points, _POINTS_PER_PIECE)):
                encoded = orjson.dumps(piece)[1:-1]
                yield encoded if first else b"," + encoded
                first = False
                await asyncio.sleep(0)  # other requests have their turn
        yield b"]"
    for section, values in (("tags", snapshot.tags), ("customInfo", snapshot.custom_info)):
        if section in sections:
            yield b',"%b":[' % section.encode()
            first = True
            async for item in values(resource):
                yield orjson.dumps(item) if first else b"," + orjson.dumps(item)
                first = False
            yield b"]"
    yield b"}"


async def _merged_points(snapshot: Snapshot, resource: Document) -> AsyncIterator[Iterator[Point]]:
    merger = PointMerger()
    deleted = resource.get("deletedAt")
    async for segment in snapshot.segments(resource):
        yield merger.take((segment["firstStep"], segment["firstTimestamp"]))
        for sequence, points in segment_runs(segment):
            if is_visible(sequence, deleted):
                merger.add(sequence, points)
    yield merger.take(None)
