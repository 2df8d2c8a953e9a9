"""The stored documents: collections, field names, and the updates that write them.

| collection | `_id` | rule |
|---|---|---|
| metric_resources | resource key | upsert: `$min` createdAt, `$max` deletedAt. Never removed |
| tags, custom_info | resource key / name | upsert: `$max` entry = {sequence, value} |
| metric_segments | message id, ordinal, part | insert only; a duplicate was applied before. \
Compaction replaces small ones by one |

Tags and custom info also have `name`, `resource` (its key) and `resourceGroup`; a segment has
`resource`, its least key in `firstStep` and `firstTimestamp`, the range of its sequences in
`firstSequence` and `lastSequence`, the bytes of its text in `size`, by which compaction finds what
is small, and for operators the number of its `points`.
createdAt and deletedAt are sequence numbers (see message.py). A segment holds the runs that one
message carried for one resource, as JSON text `[[sequence, [point, ...]], ...]`: much faster to
build than BSON, and as small. Every update leaves a segment, if need be one without points. So
seeing its segment means that the update is applied, and the latest segment tells when a resource
was modified: were that written down with the resource, every update would change two documents.

In a sharded cluster all that is stored of a resource lies on one shard for each collection, by the
hash of its key: see SHARD_KEYS. There `_id` is unique within a shard only. That is enough: each id
contains the resource's key or, a segment's, always comes with the same one.

Everything is plain Python types; only the store knows the driver.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from ingest.contract.merge import Versioned
from ingest.contract.points import NO_KEY, Key, Point, Run

RESOURCES = "metric_resources"
TAGS = "tags"
CUSTOM_INFO = "custom_info"
SEGMENTS = "metric_segments"
COLLECTIONS = (RESOURCES, TAGS, CUSTOM_INFO, SEGMENTS)

# (collection, fields of the index, all ascending). The segments' index hands a reader the
# segments of a resource in the order in which PointMerger wants them; it also tells, without a look
# at the segments, which are small, for compaction, and which is the latest. The tags' one answers
# tagFilters.
INDEXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (SEGMENTS, ("resource", "firstStep", "firstTimestamp", "size", "lastSequence")),
    (TAGS, ("resourceGroup", "name", "entry.value", "resource")),
)

# By which field's hash each collection is sharded, if it is. Whatever is done to certain resources
# names this field, by equality or $in.
SHARD_KEYS = {RESOURCES: "_id", TAGS: "resource", CUSTOM_INFO: "resource", SEGMENTS: "resource"}

# A segment is cut when it would hold more than this. MongoDB's own limit is 16 MB a document;
# a reader holds whole segments, so they are kept well below it.
SEGMENT_MAX_POINTS = 2000
SEGMENT_MAX_BYTES = 2 * 1024 * 1024

# Parts from here on are those of entries that were applied alone.
_ISOLATED = 0x8000

Document = dict[str, Any]
# A filter and an update, as MongoDB's updateOne takes them.
Upsert = tuple[Document, Document]


def segment_id(message_id: bytes, ordinal: int, part: int = 0) -> bytes:
    """Name a segment (16 bytes): `ordinal` is the number of its resource's first entry."""
    return message_id + ordinal.to_bytes(2, "big") + part.to_bytes(2, "big")


class RunText(NamedTuple):
    """A run, or a part of one that is too large for a segment, as segments hold it."""

    sequence: int
    first: Key
    """A lower bound of the points' keys."""

    points: int
    text: bytes
    """JSON: [point, ...]."""


# Where runs and segments are cut must not change. A message that an older release wrote in part
# comes again: what is written of it is recognised by the segments' ids.


def run_texts(run: Run) -> list[RunText]:
    """Encode a run: as one text, unless it would be too large."""
    text = orjson.dumps(run.points)
    count = len(run.points)
    if len(text) <= SEGMENT_MAX_BYTES or count == 1:
        return [RunText(run.sequence, run.first, count, text)]
    half = count // 2
    return [
        *run_texts(run._replace(points=run.points[:half])),
        *run_texts(run._replace(points=run.points[half:])),
    ]


def segments(
    message_id: bytes, ordinal: int, key: str, texts: Iterable[RunText], *, isolated: bool = False
) -> list[Document]:
    """Build the segments of one resource in one message: one, unless it would be too large.

    The first in the list must be written last: who sees it may rely on the others. `isolated`
    segments hold one entry alone. Their ids are others: the segment of the whole message must
    not pass for written when only a part of it is.
    """
    return [
        {"_id": segment_id(message_id, ordinal, part), "resource": key, **_content(piece)}
        for part, piece in enumerate(_pieces(texts), start=_ISOLATED if isolated else 0)
    ]


def _content(piece: list[RunText]) -> Document:
    """Return the fields of a segment of some runs, but for `_id` and `resource`."""
    chunks: list[bytes] = []
    opening = b"[["
    points = 0
    lowest = highest = piece[0].sequence
    least: Key | None = None
    for sequence, first, count, text in piece:
        chunks += (opening, b"%d," % sequence, text)  # copied once, in the end
        opening = b"],["
        points += count
        lowest = min(lowest, sequence)
        highest = max(highest, sequence)
        # Those without points have no first key.
        if count and (least is None or first < least):
            least = first
    chunks.append(b"]]")
    runs = b"".join(chunks)
    step, timestamp, _ = least or NO_KEY
    return {
        "firstStep": step,
        "firstTimestamp": timestamp,
        "firstSequence": lowest,
        "lastSequence": highest,
        "points": points,
        "size": len(runs),
        "runs": runs.decode(),
    }


def segment_runs(document: Document) -> Iterator[tuple[int, list[Point]]]:
    """Yield a stored segment's runs as (sequence, points)."""
    yield from orjson.loads(document["runs"])


def resource_upsert(key: str, created: int) -> Upsert:
    """Return the update that notes that a resource was there at a sequence."""
    return {"_id": key}, {"$min": {"createdAt": created}}


def deletion(sequence: int) -> Document:
    """Return the update that hides everything up to `sequence`."""
    return {"$max": {"deletedAt": sequence}}


def value_upserts(key: str, values: dict[str, Versioned]) -> Iterator[Upsert]:
    """Yield the updates that merge named values (tags or custom info) into what is stored."""
    resource_group = key.partition("/")[0]
    for name, (sequence, value) in values.items():
        yield (
            {"_id": value_id(key, name), "resource": key},
            {
                "$max": {"entry": {"sequence": sequence, "value": value}},
                "$setOnInsert": {"resourceGroup": resource_group, "name": name},
            },
        )


def value_id(key: str, name: str) -> str:
    """Name a tag or custom info. The key has no second slash, so the name may hold any."""
    return f"{key}/{name}"


def prefix_range(prefix: str) -> Document:
    """Return the condition for strings that begin with `prefix`, which must end in a slash."""
    return {"$gte": prefix, "$lt": prefix[:-1] + "0"}  # "0" is the character after "/"


def _pieces(texts: Iterable[RunText]) -> Iterator[list[RunText]]:
    """Group texts into pieces of at most a segment's size."""
    piece: list[RunText] = []
    points = size = 0
    for one in texts:
        full = points + one.points > SEGMENT_MAX_POINTS or size + len(one.text) > SEGMENT_MAX_BYTES
        if piece and full:
            yield piece
            piece, points, size = [], 0, 0
        piece.append(one)
        points += one.points
        size += len(one.text)
    yield piece
