"""Which segments are grouped, and what is left of their runs."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.documents import SEGMENT_MAX_POINTS
from ingest.contract.merge import is_visible
from ingest.contract.points import PointMerger, Run, identity, run_of
from tests.contract.strategies import FIRST_SEQUENCE, canonical_metrics
from worker.compaction.plan import Limits, Plan, SmallSegment, ids_before, merged_runs

LIMITS = Limits(full_bytes=1000, min_segments=3)
SIZES = st.lists(st.integers(1, LIMITS.small_bytes - 1), max_size=60)


def groups(sizes: list[int]) -> list[list[int]]:
    """Return the numbers of the segments in each group."""
    plan = Plan(LIMITS)
    ids = [number.to_bytes(16, "big") for number in range(len(sizes))]
    found = [plan.add(SmallSegment(one, size, 1)) for one, size in zip(ids, sizes, strict=True)]
    return [[int.from_bytes(one, "big") for one in ids] for ids in [*found, plan.rest()] if ids]


@given(SIZES)
def test_groups_are_neighbours_that_fit_into_a_segment_and_more_than_double(
    sizes: list[int],
) -> None:
    found = groups(sizes)
    for group in found:
        chosen = [sizes[number] for number in group]
        assert len(chosen) >= LIMITS.min_segments
        assert sum(chosen) <= LIMITS.full_bytes
        assert sum(chosen) >= 2 * max(chosen)
    for one, other in pairwise(found):
        assert max(one) < min(other)


@given(st.integers(1, 50), st.integers(1, 200))
def test_equal_segments_end_as_few_that_are_full_or_nearly_so(size: int, number: int) -> None:
    left = number - sum(len(group) - 1 for group in groups([size] * number))
    per_full = LIMITS.full_bytes // size
    assert left <= number / per_full + LIMITS.min_segments


@given(st.lists(st.integers(1, 40), min_size=1, max_size=300))
def test_what_comes_in_bit_by_bit_is_written_again_a_few_times_only(sizes: list[int]) -> None:
    stored: list[int] = []
    written = 0
    for size in sizes:
        stored.append(size)
        if len(stored) < 5:
            continue
        for group in groups([one for one in stored if one < LIMITS.small_bytes]):
            small = [one for one in stored if one < LIMITS.small_bytes]
            merged = sum(small[number] for number in group)
            for number in group:
                stored.remove(small[number])
            stored.append(merged)
            written += merged
    assert written <= sum(sizes) * (LIMITS.full_bytes.bit_length() + 1)


# Of two identities: the order of labels is no part of it.
LABELS = [{"name": "set", "value": "train"}, {"name": "gpu", "value": "1"}]
FEW_POINTS = st.fixed_dictionaries(
    {
        "name": st.just("loss"),
        "value": st.integers(0, 9),
        "timestamp": st.just("2024-01-01T00:00:00.000Z"),
        "step": st.integers(0, 1),
        "labels": st.sampled_from([LABELS, LABELS[::-1]]),
    }
)
RUNS = st.lists(
    st.tuples(
        st.integers(0, 6).map(lambda number: FIRST_SEQUENCE + 1000 * number),
        st.lists(canonical_metrics() | FEW_POINTS, max_size=4),
    ),
    max_size=8,
)


def own(runs: list[tuple[int, list[Any]]]) -> list[tuple[int, list[Any]]]:
    """Return runs as they are stored: no two points of one identity in a run."""
    return [(sequence, run_of(sequence, points).points) for sequence, points in runs]


def read(runs: list[tuple[int, list[Any]]], deleted: int | None) -> list[Any]:
    merger = PointMerger()
    for sequence, points in runs:
        if is_visible(sequence, deleted):
            merger.add(sequence, points)
    return list(merger.take(None))


def stored(runs: list[Run]) -> list[tuple[int, list[Any]]]:
    return [(run.sequence, run.points) for run in runs]


@given(RUNS, RUNS, st.integers(-1, 7), st.integers(0, 7))
def test_a_reader_sees_the_same_whatever_else_is_stored_and_deleted_later(
    runs: list[tuple[int, list[Any]]],
    others: list[tuple[int, list[Any]]],
    deleted_before: int,
    deleted_later: int,
) -> None:
    runs, others = own(runs), own(others)
    before = FIRST_SEQUENCE + 1000 * deleted_before if deleted_before >= 0 else None
    compacted = stored(merged_runs(runs, before))
    later = FIRST_SEQUENCE + 1000 * max(deleted_before, deleted_later)
    for deleted in ([before] if before is None else []) + [later]:
        assert read([*compacted, *others], deleted) == read([*runs, *others], deleted)
        visible = {one for one, _ in runs if is_visible(one, deleted)}
        assert {one for one, _ in compacted if is_visible(one, deleted)} == visible
    assert all(is_visible(one, before) for one, _ in compacted)
    identities = [identity(point) for _, points in compacted for point in points]
    assert len(set(identities)) == len(identities)


@given(RUNS)
def test_compacting_again_changes_nothing(runs: list[tuple[int, list[Any]]]) -> None:
    once = stored(merged_runs(own(runs), None))
    assert stored(merged_runs(once, None)) == once


def test_ids_before_an_instant_are_those_of_messages_before_it() -> None:
    boundary = ids_before(1_700_000_000.0)
    earlier = (1_700_000_000 * 10**9 - 1).to_bytes(8, "big") + b"\xff" * 8
    later = (1_700_000_000 * 10**9 + 1).to_bytes(8, "big") + b"\0" * 8
    assert earlier < boundary < later


@given(st.lists(st.integers(0, SEGMENT_MAX_POINTS), max_size=20))
def test_no_group_has_more_points_than_a_segment_may(points: list[int]) -> None:
    plan = Plan(Limits(full_bytes=10**9, min_segments=1))
    ids = [number.to_bytes(16, "big") for number in range(len(points))]
    small = [SmallSegment(one, 1, number) for one, number in zip(ids, points, strict=True)]
    for group in [*map(plan.add, small), plan.rest()]:
        assert sum(one.points for one in small if one.id in group) <= SEGMENT_MAX_POINTS
