"""Any interleaving of everything with compaction gives the answers of no compaction at all."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.contract.message import encode_message
from ingest.contract.timestamps import timestamp_from_ns
from tests.compaction.bench import Bench, message_id
from tests.contract.strategies import FIRST_SEQUENCE, Update, grouped, repeated, updates
from worker.store import Store as WorkerStore

_examples = itertools.count()

Step = tuple[str, Any]


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Messages in any order, some of them twice, with deletions and compactions between them."""
    groups = [one for one in draw(grouped(draw(updates(max_size=12)))) if one]
    result: list[Step] = []
    for number in draw(repeated(list(range(len(groups))))):
        result.append(("apply", (number, groups[number])))
        for what in draw(st.lists(st.sampled_from(["compact", "delete", "read"]), max_size=3)):
            argument = draw(st.integers(-1, 21)) if what == "delete" else None
            result.append((what, argument))
    return [*result, ("compact", None), ("read", None)]


class Universe:
    """The same steps on resources of their own, with compaction or without.

    With `forgetful`, each batch is applied by a worker that has just started.
    """

    def __init__(
        self, bench: Bench, name: str, groups: list[str], *, forgetful: bool = False
    ) -> None:
        self._bench = bench
        self._name = name
        self._forgetful = forgetful
        self._ids: dict[int, bytes] = {}
        self.keys = [f"{group}/{name}-{run}" for group in groups for run in ("run.1", "run.2")]

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

    async def delete(self, sequence: int) -> None:
        await self._bench.gateway.delete(self.keys[0], sequence)
        await self._bench.gateway.purge(self.keys[0], sequence)

    async def compact(self) -> None:
        for key in self.keys:
            await self._bench.compact(key)

    async def read(self) -> Any:
        resources = await self._bench.read(*self.keys)
        for one in resources:
            one["executionId"] = one["executionId"].removeprefix(self._name)
        return resources


class Lives:
    """What createdAt and modifiedAt must be, by a model that remembers everything."""

    def __init__(self, groups: list[str]) -> None:
        self._sequences: dict[tuple[str, str], set[int]] = {
            (group, run): set() for group in groups for run in ("run.1", "run.2")
        }
        self._first = next(iter(self._sequences))
        self._deleted = 0

    def apply(self, of: list[Update]) -> None:
        for one in of:
            self._sequences[one.resource_group, one.resource["executionId"]].add(one.sequence)

    def delete(self, sequence: int) -> None:
        self._deleted = max(self._deleted, sequence)

    def read(self) -> list[tuple[str, str]]:
        result = []
        for place, sequences in self._sequences.items():
            deleted = self._deleted if place == self._first else 0
            if visible := [one for one in sequences if one > deleted]:
                result.append((timestamp_from_ns(min(visible)), timestamp_from_ns(max(visible))))
        return result


@given(steps())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_compaction_never_changes_an_answer(bench: Bench, script: list[Step]) -> None:
    number = next(_examples)
    groups = ["default", "other"]
    plain = Universe(bench, f"plain-{number}", groups, forgetful=True)
    compacted = Universe(bench, f"compact-{number}", groups)
    lives = Lives(groups)
    for what, argument in script:
        match what:
            case "apply":
                lives.apply(argument[1])
                await plain.apply(*argument)
                await compacted.apply(*argument)
            case "delete":
                sequence = FIRST_SEQUENCE + 1000 * argument
                lives.delete(sequence)
                await plain.delete(sequence)
                await compacted.delete(sequence)
            case "compact":
                await compacted.compact()
            case _:
                answer = await compacted.read()
                assert answer == await plain.read()
                assert [(one["createdAt"], one["modifiedAt"]) for one in answer] == lives.read()


async def test_the_interleavings_do_compact(bench: Bench) -> None:
    """Else the test above would compare nothing with nothing."""
    compacted = Universe(bench, "does", ["default"])
    make: Callable[[int], Update] = lambda number: Update(  # noqa: E731
        FIRST_SEQUENCE + 1000 * number, "default", {"executionId": "run.1"}
    )
    for number in range(5):
        await compacted.apply(number, [make(number)])
    await compacted.compact()
    assert await bench.count_segments(compacted.keys[0]) == 1
