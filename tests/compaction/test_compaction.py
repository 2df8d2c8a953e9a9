"""Compaction beside readers, beside itself, killed, and of a long run."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from deploy.local.process import wait_for
from ingest.contract.documents import RESOURCES, SEGMENTS, segment_runs
from tests.bench.bodies import run_updates
from tests.compaction.bench import AT_ONCE, EAGER, Bench, answer, point
from tests.contract.strategies import FIRST_SEQUENCE
from tests.harness.services import ROOT, Site
from worker.compaction.store import CompactionStore

KEY = "default/compacted"
RESOURCE = {"_id": KEY, "createdAt": FIRST_SEQUENCE}
DEADLINE_S = 60.0


async def fill(bench: Bench, updates: int, key: str = KEY, begin: int = FIRST_SEQUENCE) -> None:
    """Store a resource of one point for each update."""
    await bench.database[RESOURCES].update_one(
        {"_id": key}, {"$set": RESOURCE | {"_id": key}}, upsert=True
    )
    await bench.insert(key, ([point(step)] for step in range(updates)), begin)


async def test_a_snapshot_that_was_opened_before_shows_what_was_there_before(bench: Bench) -> None:
    await fill(bench, 50)
    before = await bench.read(KEY)
    async with bench.snapshot() as snapshot:
        (resource,) = await snapshot.resources([KEY])  # now its moment is fixed
        assert await bench.compact(KEY) > 0
        await bench.insert(KEY, [[point(50)]], FIRST_SEQUENCE + 10**6)  # and a later update
        assert await answer(snapshot, KEY) == before
        assert resource["_id"] == KEY
    ((after),) = await bench.read(KEY)
    assert after["metrics"] == [*before[0]["metrics"], point(50)]


async def test_readers_beside_writers_and_compactors_miss_and_double_nothing(bench: Bench) -> None:
    await fill(bench, 1)
    written = 1
    done = asyncio.Event()

    async def write() -> None:
        nonlocal written
        for number in range(1, 40):
            begin = FIRST_SEQUENCE + 10**6 * number
            await bench.insert(KEY, [[point(step)] for step in (written, written + 1)], begin)
            written += 2
        done.set()

    async def compact() -> int:
        fewer = 0
        while not done.is_set():
            fewer += await bench.compact(KEY)
        return fewer

    async def read() -> int:
        reads = 0
        while not done.is_set():
            least = written
            ((resource),) = await bench.read(KEY)
            steps = [one["step"] for one in resource["metrics"]]
            assert steps == list(range(len(steps)))
            assert least <= len(steps) <= written + 2
            reads += 1
        return reads

    _, fewer, other, reads = await asyncio.gather(write(), compact(), compact(), read())
    assert fewer + other > 0
    assert reads > 0


class Meeting(CompactionStore):
    """Does something once, when its first transaction has seen what it will replace."""

    def __init__(self, bench: Bench, then: Callable[[], Awaitable[object]]) -> None:
        super().__init__(bench.database, EAGER)
        self._then: Callable[[], Awaitable[object]] | None = then

    async def _deleted_at(self, key: str, session: object = None) -> int | None:
        deleted = await super()._deleted_at(key, session)
        then, self._then = self._then, None
        if then is not None:
            await then()
        return deleted

    async def all(self) -> list[int]:
        return [one async for one in self.compact(KEY)]


def conflicts() -> float:
    return REGISTRY.get_sample_value("worker_compaction_conflicts_total") or 0.0


async def test_two_compactors_of_one_resource_do_no_harm(bench: Bench) -> None:
    await fill(bench, 300)
    before, many, met = await bench.read(KEY), await bench.count_segments(KEY), conflicts()
    barrier = asyncio.Barrier(4)
    async with asyncio.timeout(DEADLINE_S):
        done = await asyncio.gather(*(Meeting(bench, barrier.wait).all() for _ in range(4)))
    # All were at the first group at once, and one of them at most has replaced it.
    assert sum(fewer[0] > 0 for fewer in done) <= 1
    assert conflicts() >= met + 3
    assert await bench.read(KEY) == before
    assert await bench.count_points(KEY) == 300
    # Each group was replaced by one of them, or left by all.
    assert await bench.count_segments(KEY) == many - sum(map(sum, done)) < many


@pytest.mark.parametrize("purge", [False, True])
async def test_a_deletion_in_the_midst_of_a_compaction_hides_what_it_should(
    bench: Bench,
    purge: bool,  # noqa: FBT001
) -> None:
    await fill(bench, 100)
    deleted, met = FIRST_SEQUENCE + 1000 * 5, conflicts()  # within the first group

    async def delete() -> None:
        await bench.gateway.delete(KEY, deleted)
        if purge:
            await bench.gateway.purge(KEY, deleted)

    assert sum(await Meeting(bench, delete).all()) > 0
    assert (conflicts() > met) == purge
    ((resource),) = await bench.read(KEY)
    assert resource["metrics"] == [point(step) for step in range(6, 100)]


async def test_deletions_beside_compactors_leave_what_came_after_them(bench: Bench) -> None:
    await fill(bench, 1)
    written, hidden = 1, -1
    fewer_since = asyncio.Event()
    done = asyncio.Event()

    async def delete(step: int) -> None:
        sequence = FIRST_SEQUENCE + 10**6 * step
        await bench.gateway.delete(KEY, sequence)
        await bench.gateway.purge(KEY, sequence)

    async def write_and_delete() -> None:
        nonlocal written, hidden
        for _ in range(12):
            fewer_since.clear()
            for step in range(written, written + 30):
                await bench.insert(KEY, [[point(step)]], FIRST_SEQUENCE + 10**6 * step)
            written += 30
            await fewer_since.wait()  # so compaction is at it, with more to do
            hidden = written - 10
            await delete(hidden)
        done.set()

    async def compact() -> None:
        while not done.is_set():
            if await bench.compact(KEY):
                fewer_since.set()

    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(write_and_delete(), compact(), compact())
    ((resource),) = await bench.read(KEY)
    assert resource["metrics"] == [point(step) for step in range(hidden + 1, written)]


async def test_a_group_of_which_something_is_gone_meanwhile_is_left_alone(bench: Bench) -> None:
    await fill(bench, 100)
    compacting = CompactionStore(bench.database, EAGER).compact(KEY)
    assert await anext(compacting) > 0  # it knows all segments now, and has replaced the first
    gone = {"resource": KEY, "firstStep": 50}
    assert (await bench.database[SEGMENTS].delete_one(gone)).deleted_count == 1
    assert 0 in [fewer async for fewer in compacting]
    ((resource),) = await bench.read(KEY)
    assert [one["step"] for one in resource["metrics"]] == [*range(50), *range(51, 100)]


async def test_a_segment_that_comes_again_after_it_was_compacted_does_no_harm(
    bench: Bench,
) -> None:
    await fill(bench, 20)
    first = await bench.database[SEGMENTS].find_one({"resource": KEY, "firstStep": 7})
    before = await bench.read(KEY)
    await bench.compact(KEY)
    await bench.database[SEGMENTS].insert_one(first or {})
    assert await bench.read(KEY) == before
    await bench.compact(KEY)
    assert await bench.read(KEY) == before


async def test_what_is_young_is_left_alone(bench: Bench) -> None:
    limits = EAGER.__class__(full_bytes=EAGER.full_bytes, min_segments=2, min_age_s=120)
    now = FIRST_SEQUENCE + 10**18  # in the future, so younger than anything
    await fill(bench, 20, begin=now)
    assert await bench.compact(KEY, limits) == 0
    await fill(bench, 20, key="default/old")
    assert await bench.compact("default/old", limits) > 0


async def test_what_a_deletion_has_hidden_is_removed(bench: Bench) -> None:
    await fill(bench, 20)
    await bench.gateway.delete(KEY, FIRST_SEQUENCE + 10**9)  # and not purged, as if cut short
    store = CompactionStore(bench.database)
    assert await store.remove_deleted(KEY) == 20
    assert await store.remove_deleted(KEY) == 0
    assert await store.remove_deleted("default/unknown") == 0


async def test_what_is_hidden_of_a_group_is_dropped(bench: Bench) -> None:
    await fill(bench, 20)
    deleted = FIRST_SEQUENCE + 1000 * 9
    await bench.gateway.delete(KEY, deleted)  # and not purged, as if cut short
    before = await bench.read(KEY)
    assert await bench.compact(KEY) > 0
    stored = [one async for one in bench.database[SEGMENTS].find({"resource": KEY})]
    assert all(sequence > deleted for one in stored for sequence, _ in segment_runs(one))
    assert await bench.read(KEY) == before


async def visited(bench: Bench, key: str) -> tuple[int, int]:
    """Return how many segments a read visits, and their bytes."""
    async with bench.snapshot() as snapshot:
        (resource,) = await snapshot.resources([key])
        sizes = [one["size"] async for one in snapshot.segments(resource)]
    return len(sizes), sum(sizes)


async def test_a_long_run_of_single_points_becomes_like_one_logged_in_bulk(bench: Bench) -> None:
    number, at_once, in_bulk = 100_000, 200, "default/bulk"
    points = [json.loads(one)["metrics"][0] for one in run_updates("long-run", number, 1)]
    for key in (KEY, in_bulk):
        await bench.database[RESOURCES].insert_one(RESOURCE | {"_id": key})
    thousands = (points[first : first + 1000] for first in range(0, number, 1000))
    await bench.insert(in_bulk, thousands, FIRST_SEQUENCE)
    # As a worker does: whenever so many are new.
    for first in range(0, number, at_once):
        some = ([one] for one in points[first : first + at_once])
        await bench.insert(KEY, some, FIRST_SEQUENCE + 1000 * first)
        assert await bench.compact(KEY, AT_ONCE) > 0

    count, size = await visited(bench, KEY)
    bulk_count, bulk_size = await visited(bench, in_bulk)
    assert count <= 2 * bulk_count
    assert size <= 2 * bulk_size
    # A sweep finds next to nothing: what was compacted is as large as it will ever be.
    assert await bench.compact(KEY, AT_ONCE) < 10
    assert await bench.count_points(KEY) == number
    ((single),), ((bulk),) = await bench.read(KEY), await bench.read(in_bulk)
    assert single["metrics"] == bulk["metrics"]
    assert len(bulk["metrics"]) == number


def sweep(site: Site, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `compact` in a pipe."""
    return started(site, "worker", "compact", *arguments, **variables)


def started(site: Site, module: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    names = ("MONGODB_URL", "MONGODB_DATABASE")
    environment = {name: site.environment[name] for name in names} | variables
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


async def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = await asyncio.to_thread(process.communicate, None, DEADLINE_S)
    return process.returncode, out, err


async def test_a_sweep_compacts_what_it_is_asked_to(site: Site, bench: Bench) -> None:
    for key in ("default/first", "default/second", "other/first"):
        await fill(bench, 100, key=key)
    code, out, err = await finished(
        sweep(site, "--resource-group", "default", "--execution", "first")
    )
    assert (code, err) == (0, "")
    assert out.startswith("1 resources looked at: 99 segments fewer, 0 removed")
    assert await bench.count_segments("default/second") == 100
    code, out, _ = await finished(sweep(site, "--resource-group", "default"))
    assert (code, out.split(":")[0]) == (0, "2 resources looked at")
    assert await bench.count_segments("other/first") == 100
    code, out, _ = await finished(sweep(site))
    assert (code, out.split(":")[0]) == (0, "3 resources looked at")
    assert await bench.count_segments("other/first") == 1


async def test_a_sweep_says_what_is_wrong_with_its_arguments_and_settings(site: Site) -> None:
    for arguments, variables, why in (
        (["--execution", "one.1"], {}, "--execution needs --resource-group"),
        (["--resource-group", "x"], {}, "'x' is not a resource group"),
        ([], {"MONGODB_URL": ""}, "MONGODB_URL is not set"),
    ):
        code, _, err = await finished(sweep(site, *arguments, **variables))
        assert code == 2
        assert why in err


async def segments_of_all(bench: Bench) -> list[Any]:
    return [one async for one in bench.database[SEGMENTS].find({}, ["_id"])]


async def end_transactions_of_the_killed(bench: Bench) -> None:
    """Do at once what the server does with them after a minute or so."""
    admin = bench.database.client.admin
    theirs = {"type": "idleSession", "appName": "compact", "transaction": {"$exists": True}}
    found = admin.aggregate([{"$currentOp": {"idleSessions": True}}, {"$match": theirs}])
    await admin.command("killSessions", [{"id": one["lsid"]["id"]} async for one in found])


async def test_a_killed_sweep_leaves_nothing_half_done_and_the_next_one_goes_on(
    site: Site, bench: Bench
) -> None:
    number = 20_000
    await fill(bench, number)
    before = await bench.read(KEY)

    async def assert_unchanged() -> None:
        # A reader would not show that something was written and not removed.
        assert await bench.count_points(KEY) == number
        assert await bench.read(KEY) == before

    # Each leaves alone what another has open, and so comes to other groups.
    for instant in (
        ("succeeded", "delete", "1"),
        ("succeeded", "insert", "2"),
        ("started", "commitTransaction", "1"),
        ("succeeded", "commitTransaction", "2"),
    ):
        process = started(site, "tests.compaction.killed", *instant)
        assert await finished(process) == (-signal.SIGKILL, "", "")
        await assert_unchanged()

    many = await bench.count_segments(KEY)
    process = sweep(site)
    loop = asyncio.get_running_loop()

    def has_begun() -> bool:
        count = asyncio.run_coroutine_threadsafe(bench.count_segments(KEY), loop).result()
        return count < many

    assert await asyncio.to_thread(wait_for, has_begun, DEADLINE_S)
    process.send_signal(signal.SIGKILL)  # with the next group begun, most likely
    await finished(process)
    assert await bench.count_segments(KEY) > 30
    await assert_unchanged()

    async with asyncio.timeout(DEADLINE_S):
        while await bench.count_segments(KEY) >= 30:
            await end_transactions_of_the_killed(bench)
            code, _, err = await finished(sweep(site))
            assert (code, err) == (0, "")
    await assert_unchanged()


async def test_an_interrupted_sweep_ends_in_good_order(site: Site, bench: Bench) -> None:
    await fill(bench, 20_000)
    before = await bench.read(KEY)
    process = sweep(site)
    loop = asyncio.get_running_loop()

    def has_begun() -> bool:
        count = asyncio.run_coroutine_threadsafe(bench.count_segments(KEY), loop).result()
        return count < 20_000

    assert await asyncio.to_thread(wait_for, has_begun, DEADLINE_S)
    process.send_signal(signal.SIGTERM)
    code, out, _ = await finished(process)
    assert code == 130
    assert "segments fewer" in out
    assert await bench.read(KEY) == before
