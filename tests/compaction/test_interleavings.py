"""Any interleaving of everything with compaction gives the answers of no compaction at all."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.contract.documents import SEGMENTS
from ingest.contract.message import encode_message
from ingest.contract.timestamps import timestamp_from_ns
from tests.compaction.bench import Bench, message_id
from tests.contract.strategies import FIRST_SEQUENCE, Update, repeated, updates
from worker.compaction.plan import Limits
from worker.compaction.store import CompactionStore
from worker.store import Store as WorkerStore

_examples = itertools.count()
_EXAMPLES = 60
# What was compacted is small still, so that it is compacted again.
_LIMITS = Limits(full_bytes=20_000, min_segments=2, min_age_s=-60)
_GROUPS = ("default", "other")
_RUNS = ("run.1",)

Step = tuple[str, Any]


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Messages in any order, some of them twice, with deletions and compactions between them.

    Of one resource or two, in many small messages: else there would be little to compact.
    """
    resources = draw(st.integers(1, 2))
    messages: list[list[Update]] = []
    for one in draw(updates(16, min_size=6, groups=_GROUPS[:resources], runs=_RUNS)):
        if messages and draw(st.integers(0, 3)) == 3:
            messages[-1].append(one)
        else:
            messages.append([one])
    result: list[Step] = []
    others = st.sampled_from(["compact", "compact", "sweep", "delete", "read"])
    for number in draw(repeated(list(range(len(messages))))):
        result.append(("apply", (number, messages[number])))
        for what in draw(st.lists(others, max_size=2)):
            argument = None
            if what == "delete":
                key = draw(st.integers(0, resources - 1))
                sequence = FIRST_SEQUENCE + 1000 * draw(st.integers(-1, 21))
                argument = (key, sequence, draw(st.booleans()))
            result.append((what, argument))
    return [*result, ("compact", None), ("read", None)]


@pytest.fixture
def tally() -> Iterator[Counter[str]]:
    """How often was compacted, over all examples; at the end it must have been often enough."""
    tally: Counter[str] = Counter()
    yield tally
    if tally["examples"] >= _EXAMPLES:  # a test that failed early has said why
        # Far below what comes, but not nothing: else it would compare equals with equals.
        assert tally["replaced"] >= _EXAMPLES // 2, tally
        assert tally["again"] >= _EXAMPLES // 6, tally
        assert tally["deleted"] >= _EXAMPLES // 6, tally


class Universe:
    """The same steps on resources of their own, with compaction or without.

    With `forgetful`, each batch is applied by a worker that has just started.
    """

    def __init__(self, bench: Bench, name: str, *, forgetful: bool = False) -> None:
        self._bench = bench
        self._name = name
        self._forgetful = forgetful
        self._ids: dict[int, bytes] = {}
        self._made: set[bytes] = set()
        self.keys = [f"{group}/{name}-{run}" for group in _GROUPS for run in _RUNS]

    async def apply(self, number: int, of: list[Update]) -> None:
        entries = [
            replace(
                one,
                resource=one.resource
                | {"executionId": f"{self._name}-{one.resource['executionId']}"},
            ).encode()
            for one in of
        ]
        known = self._ids.setdefault(number, message_id(FIRST_SEQUENCE))
        worker = WorkerStore(self._bench.database) if self._forgetful else None
        await self._bench.apply(encode_message(known, entries), worker=worker)

    async def delete(self, key: int, sequence: int, purge: bool) -> None:  # noqa: FBT001
        await self._bench.gateway.delete(self.keys[key], sequence)
        if purge:
            await self._bench.gateway.purge(self.keys[key], sequence)

    async def compact(self, tally: Counter[str]) -> None:
        """Compact all, and count what came of it."""
        for key in self.keys:
            before = await self._ids_of(key)
            await self._bench.compact(key, _LIMITS)
            after = await self._ids_of(key)
            tally["replaced"] += before != after
            tally["again"] += not self._made.isdisjoint(before - after)
            self._made |= after - before

    async def sweep(self, tally: Counter[str]) -> None:
        """Do as the command does: also remove what deletions have hidden."""
        for key in self.keys:
            store = CompactionStore(self._bench.database, _LIMITS)
            tally["removed"] += await store.remove_deleted(key) > 0
        await self.compact(tally)

    async def _ids_of(self, key: str) -> set[bytes]:
        found = self._bench.database[SEGMENTS].find({"resource": key}, ["_id"])
        return {one["_id"] async for one in found}

    async def read(self) -> Any:
        resources = await self._bench.read(*self.keys)
        for one in resources:
            one["executionId"] = one["executionId"].removeprefix(self._name)
        return resources


class Lives:
    """What createdAt and modifiedAt must be, by a model that remembers everything."""

    def __init__(self) -> None:
        self._sequences: dict[str, set[int]] = {
            f"{group}/{run}": set() for group in _GROUPS for run in _RUNS
        }
        self._deleted = [0] * len(self._sequences)

    def apply(self, of: list[Update]) -> None:
        for one in of:
            self._sequences[one.key].add(one.sequence)

    def delete(self, key: int, sequence: int) -> None:
        self._deleted[key] = max(self._deleted[key], sequence)

    def read(self) -> list[tuple[str, str]]:
        result = []
        for sequences, deleted in zip(self._sequences.values(), self._deleted, strict=True):
            if visible := [one for one in sequences if one > deleted]:
                result.append((timestamp_from_ns(min(visible)), timestamp_from_ns(max(visible))))
        return result


@given(steps())
@settings(
    max_examples=_EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_compaction_never_changes_an_answer(
    bench: Bench, tally: Counter[str], script: list[Step]
) -> None:
    number = next(_examples)
    plain = Universe(bench, f"plain-{number}", forgetful=True)
    compacted = Universe(bench, f"compact-{number}")
    lives = Lives()
    for what, argument in script:
        match what:
            case "apply":
                lives.apply(argument[1])
                await plain.apply(*argument)
                await compacted.apply(*argument)
            case "delete":
                key, sequence, purge = argument
                tally["deleted"] += 1
                lives.delete(key, sequence)
                await plain.delete(key, sequence, purge)
                await compacted.delete(key, sequence, purge)
            case "compact":
                await compacted.compact(tally)
            case "sweep":
                await compacted.sweep(tally)
            case _:
                answer = await compacted.read()
                assert answer == await plain.read()
                assert [(one["createdAt"], one["modifiedAt"]) for one in answer] == lives.read()
    tally["examples"] += 1


async def test_the_interleavings_do_compact(bench: Bench) -> None:
    """Whatever was drawn above: it would compare nothing with nothing."""
    compacted = Universe(bench, "does")
    tally: Counter[str] = Counter()
    make: Callable[[int], Update] = lambda number: Update(  # noqa: E731
        FIRST_SEQUENCE + 1000 * number, "default", {"executionId": "run.1"}
    )
    for number in range(8):
        await compacted.apply(number, [make(number)])
        if number % 4 == 3:
            await compacted.compact(tally)
    assert await bench.count_segments(compacted.keys[0]) == 1
    assert tally == {"replaced": 2, "again": 1}
