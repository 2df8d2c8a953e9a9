"""Bytes on disk for each point, before and after compaction, as a share of the point's JSON.

The same points are logged one, ten and a thousand at a time, by many runs in turn, so that a
message seldom has two updates of one run. Compaction is the product's, but takes what is younger
than two minutes, too, which it would leave alone.

What is counted is what MongoDB's files have in use, data and indexes of all collections, after a
checkpoint. What a file has free, as after a compaction, is used for what comes next; and so that it
is free at once, the server keeps no history for snapshots meanwhile (by default five minutes).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from ingest.contract.documents import COLLECTIONS, SEGMENTS
from ingest.runtime.database import open_client
from tests.bench.bodies import POINT_BYTES, run_updates
from tests.bench.latency import Connections
from tests.bench.pipeline import pipeline
from tests.bench.rig import BenchError, Rig, run
from worker.compaction.plan import Limits
from worker.compaction.store import CompactionStore

TITLE = "Storage, bytes on disk for each point"
_METRICS = (1, 10, 1000)
_RUNS = 64
_POINTS = 2000
_QUICK_POINTS = 1000
_HISTORY = "minSnapshotHistoryWindowInSeconds"
_USUAL_HISTORY_S = 300
# Everything is old enough.
_AT_ONCE = Limits(min_age_s=-60)
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class _Size:
    """Bytes that a database's files have in use, and in all, for each point; and its segments."""

    used: float
    files: float
    segments: int


def measure(rig: Rig) -> None:
    """Measure each way to log."""
    points = _QUICK_POINTS if rig.quick else _POINTS
    with rig.mongo("admin") as admin:
        admin.command({"setParameter": 1, _HISTORY: 0})
        try:
            for metrics in _METRICS:
                _measure_runs(rig, metrics, points)
        finally:
            admin.command({"setParameter": 1, _HISTORY: _USUAL_HISTORY_S})


def _measure_runs(rig: Rig, metrics: int, points: int) -> None:
    of = f"{metrics} at a time"
    rig.say(f"storage: {_RUNS * points:,} points, {of}")
    names = [f"run-{number:04}" for number in range(_RUNS)]
    with pipeline(rig, "storage") as ours, rig.mongo(ours.site.database_name) as database:
        with Connections(ours.gateway.port) as connections:
            connections.send_all(_in_turn(names, points, metrics))
        ours.await_drained()
        before = _size(database, _RUNS * points)
        rig.say(f"storage: compacting {before.segments:,} segments")
        keys = [one["_id"] for one in database.metric_resources.find({}, ["_id"])]
        run(_compact(rig.database.url, ours.site.database_name, keys))
        after = _size(database, _RUNS * points)
    report, head = rig.report, f"storage.{metrics}"
    for name, what, size in (("new", "new", before), ("compacted", "compacted", after)):
        report.add(f"{head}.{name}", f"{of}: {what}", "bytes", [size.used])
        report.add(f"{head}.{name}-segments", f"{of}: {what}, segments", "", [size.segments])
    report.add(
        f"{head}.compacted-files", f"{of}: compacted, free space too", "bytes", [after.files]
    )
    for name, size in (("new", before), ("compacted", after)):
        what = f"{of}: {name} ÷ {POINT_BYTES} bytes of JSON"
        report.add(f"{head}.{name}-of-json", what, "ratio", [size.used / POINT_BYTES])


def _in_turn(names: list[str], points: int, metrics: int) -> Iterator[bytes]:
    """Yield an update of each run in turn."""
    runs = [run_updates(name, points, metrics) for name in names]
    return itertools.chain.from_iterable(zip(*runs, strict=True))


async def _compact(url: str, name: str, keys: list[str]) -> None:
    client = open_client(url, "bench", _TIMEOUT_S, _TIMEOUT_S)
    store = CompactionStore(client[name], _AT_ONCE)
    for key in keys:
        async for _ in store.compact(key):
            pass
    client.close()


def _size(database: Database[dict[str, Any]], points: int) -> _Size:
    """Take a checkpoint and measure the files."""
    stored = sum(int(one["points"]) for one in database[SEGMENTS].find({}, ["points"]))
    if stored != points:
        raise BenchError(f"{stored} points are stored, not {points}")
    # Twice: blocks that the checkpoint before still needs are free after the next one only.
    for _ in range(2):
        database.client.admin.command("fsync", 1)
    files = free = 0
    for collection in COLLECTIONS:
        stats = database.command("collStats", collection)
        files += stats["storageSize"] + stats["totalIndexSize"]
        managers = [stats["wiredTiger"], *stats["indexDetails"].values()]
        free += sum(one["block-manager"]["file bytes available for reuse"] for one in managers)
    segments = database[SEGMENTS].count_documents({})
    return _Size((files - free) / points, files / points, segments)
