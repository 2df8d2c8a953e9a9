"""What a worker compacts on its own: when, how much it remembers, and what stops it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from pymongo.errors import AutoReconnect

from deploy.local.ports import choose_port
from ingest.contract.documents import Document, run_texts, segments
from ingest.contract.message import encode_message
from ingest.contract.points import run_of
from ingest.runtime.settings import load
from tests.compaction.bench import AT_ONCE, Bench, message_id, point
from tests.compaction.test_compaction import KEY, fill
from tests.contract.strategies import FIRST_SEQUENCE, Update
from tests.harness.services import Site
from tests.queue.broker_client import channel_of, put
from worker import server
from worker.compaction import background
from worker.compaction.background import Compactor
from worker.compaction.plan import Limits
from worker.compaction.store import CompactionStore
from worker.server import Worker
from worker.settings import WorkerSettings

DEADLINE_S = 20.0


def written(*keys: str, points: int = 1) -> list[Document]:
    """Return what a worker has written: a segment for each key."""
    run = run_of(FIRST_SEQUENCE, [point(step) for step in range(points)])
    return [segments(message_id(FIRST_SEQUENCE), 0, key, run_texts(run))[0] for key in keys]


class Recorder:
    """A store that compacts nothing, and notes what it was asked for."""

    def __init__(self, *failures: Exception) -> None:
        self.limits = Limits()
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self._failures = list(failures)

    async def compact(self, key: str) -> AsyncIterator[int]:
        self.asked.put_nowait(key)
        if self._failures:
            raise self._failures.pop()
        yield 1

    async def next(self) -> str:
        """Wait for the next resource that is compacted."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.asked.get()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(compactor: Compactor) -> AsyncIterator[None]:
    task = asyncio.create_task(compactor.run())
    try:
        yield
    finally:
        task.cancel()


async def test_a_worker_compacts_what_it_wrote_once_it_is_old_enough() -> None:
    store, clock = Recorder(), Clock()
    compactor = Compactor(store, 3, clock)  # type: ignore[arg-type]  # all that it calls
    compactor.note(written("default/a", "default/b", "default/a"))
    compactor.note(written("default/b", "default/a", "default/c"))
    async with running(compactor):
        clock.now = store.limits.min_age_s
        assert await store.next() == "default/a"
        compactor.note(written("default/b"))
        clock.now *= 2
        assert await store.next() == "default/b"
    assert store.asked.empty()


async def test_large_segments_do_not_count_and_zero_means_never() -> None:
    store, clock = Recorder(), Clock()
    compactor = Compactor(store, 1, clock)  # type: ignore[arg-type]
    never = Compactor(store, 0, clock)  # type: ignore[arg-type]
    (large,) = written("default/large", points=2000)
    assert large["size"] >= store.limits.small_bytes
    compactor.note([large])
    never.note(written("default/never"))
    compactor.note(written("default/small"))
    clock.now = store.limits.min_age_s
    async with running(compactor), running(never):
        assert await store.next() == "default/small"
    assert store.asked.empty()


@pytest.mark.parametrize("failure", [AutoReconnect("away"), RuntimeError("a bug")])
async def test_a_failure_does_not_end_it(failure: Exception) -> None:
    store, clock = Recorder(failure), Clock()
    compactor = Compactor(store, 1, clock)  # type: ignore[arg-type]
    compactor.note(written("default/first", "default/second"))
    clock.now = store.limits.min_age_s
    async with running(compactor):
        assert await store.next() == "default/first"
        assert await store.next() == "default/second"


async def test_what_is_remembered_is_bounded_however_many_resources_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "_MAX_COUNTED", 10_000)
    compactor = Compactor(Recorder(), 2, Clock())  # type: ignore[arg-type]
    for number in range(12_000):
        compactor.note([{"resource": f"default/{number}", "size": 10}])
    assert len(compactor._counts) == 10_000  # noqa: SLF001 - a leak shows nowhere else
    for number in range(12_000):
        compactor.note([{"resource": f"default/{number}", "size": 10}] * 2)
    assert len(compactor._due) == 1_000  # noqa: SLF001


async def test_it_compacts_for_real(bench: Bench) -> None:
    await fill(bench, 5000)
    before = await bench.read(KEY)
    compactor = Compactor(CompactionStore(bench.database, AT_ONCE), 1)
    compactor.note(written(KEY))
    async with running(compactor), asyncio.timeout(DEADLINE_S):
        while await bench.count_segments(KEY) > 3:
            await asyncio.sleep(0.01)
    assert await bench.read(KEY) == before


@asynccontextmanager
async def working(site: Site, **variables: str) -> AsyncIterator[None]:
    """Run a whole worker in this process, and drain it at the end of the block."""
    ops_port = {"WORKER_OPS_PORT": str(choose_port())}
    stop = asyncio.Event()
    settings = load(WorkerSettings, site.environment | ops_port | variables)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Worker(settings).run(stop))
        yield
        stop.set()


def message_of_step(step: int) -> bytes:
    """Return a message of one update of one point."""
    group, _, execution_id = KEY.partition("/")
    sequence = FIRST_SEQUENCE + 1000 * step
    update = Update(sequence, group, {"executionId": execution_id, "metrics": [point(step)]})
    return encode_message(message_id(sequence), [update.encode()])


async def test_a_worker_compacts_a_run_while_its_updates_arrive(
    site: Site, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The age is no setting: whoever lowered it would break the reads of updates just accepted.
    monkeypatch.setattr(server, "CompactionStore", partial(CompactionStore, limits=AT_ONCE))
    count = sent = times = 0
    async with (
        asyncio.timeout(DEADLINE_S),
        channel_of(site) as channel,
        working(site, WORKER_COMPACT_AFTER_SEGMENTS="10"),
    ):
        while times < 2:
            await put(channel, message_of_step(sent))
            sent += 1
            while len(metrics := (await bench.read(KEY) or [{"metrics": []}])[0]["metrics"]) < sent:
                await asyncio.sleep(0.005)
            # Whenever it looks: all that was stored, and once.
            assert metrics == [point(step) for step in range(sent)]
            before, count = count, await bench.count_segments(KEY)
            times += count < before
    ((resource),) = await bench.read(KEY)
    assert resource["metrics"] == [point(step) for step in range(sent)]
    assert await bench.count_points(KEY) == sent
