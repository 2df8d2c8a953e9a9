"""Merging runs, against a model: of one identity the highest sequence stands."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.documents import segment_runs, segments
from ingest.contract.points import PointMerger, Run, run_of
from tests.contract.strategies import (
    MESSAGE_ID,
    Json,
    canonical_metrics,
    encoded_runs,
    grouped,
    repeated,
)

Key = tuple[int, str, str]


class EagerMerger(PointMerger):
    """Emits whatever it may, with every segment."""

    SORT_AT_LEAST = 1


MERGERS = pytest.mark.parametrize("merger_class", [PointMerger, EagerMerger])


def sort_key(point: Json) -> tuple[int, str, str, list[tuple[str, str]]]:
    labels = {(label["name"], label["value"]) for label in point.get("labels", ())}
    return (point.get("step", -1), point["timestamp"][:-1], point["name"], sorted(labels))


def merged_by_model(runs: list[Run]) -> list[Json]:
    """Keep, for each identity, the point with the highest sequence; order by step, time, name.

    Equal sequences exist only between two gateways: then the JSON text decides.
    """
    standing: dict[str, tuple[int, bytes, Json]] = {}
    for run in runs:
        for point in run.points:
            candidate = (run.sequence, orjson.dumps(point), point)
            standing[repr(sort_key(point))] = max(
                candidate,
                standing.get(repr(sort_key(point)), candidate),
                key=lambda one: one[:2],
            )
    return sorted((point for _, _, point in standing.values()), key=sort_key)


def merged_from_segments(merger: PointMerger, groups: list[list[Run]]) -> list[Json]:
    """Read segments as the gateway does: in the order of their first keys."""
    documents = [
        document
        for ordinal, runs in enumerate(groups)
        if runs
        for document in segments(MESSAGE_ID, ordinal, "group/run", encoded_runs(runs))
    ]
    documents.sort(key=lambda document: (document["firstStep"], document["firstTimestamp"]))
    points = []
    for document in documents:
        points += list(merger.take((document["firstStep"], document["firstTimestamp"])))
        for sequence, run in segment_runs(document):
            merger.add(sequence, run)
    return points + list(merger.take(None))


@st.composite
def runs_of_one_resource(draw: st.DrawFn) -> list[Run]:
    metrics = draw(st.lists(st.lists(canonical_metrics(), max_size=5), max_size=7))
    # Two of them may share a sequence, as updates through two gateways may.
    return [run_of(100 + number // 2 * 2, one) for number, one in enumerate(metrics)]


@MERGERS
@given(data=st.data(), runs=runs_of_one_resource())
def test_order_repetition_and_grouping_of_runs_dont_matter(
    merger_class: type[PointMerger], data: st.DataObject, runs: list[Run]
) -> None:
    groups = data.draw(grouped(data.draw(repeated(runs))))
    assert merged_from_segments(merger_class(), groups) == merged_by_model(runs)


@given(data=st.data(), runs=runs_of_one_resource())
def test_what_take_returns_is_in_order_complete_below_the_bound_and_never_above_it(
    data: st.DataObject, runs: list[Run]
) -> None:
    merger = EagerMerger()
    taken: list[Json] = []
    remaining = sorted(data.draw(repeated(runs)), key=lambda run: run.first)
    for run in remaining:
        bound = run.first[:2]
        taken += list(merger.take(bound))
        assert all(sort_key(point)[:2] < bound for point in taken)
        merger.add(run.sequence, run.points)
    taken += list(merger.take(None))
    assert all(sort_key(one) < sort_key(other) for one, other in pairwise(taken))
    assert list(merger.take(None)) == []


def step_run(sequence: int, steps: range, **fields: Any) -> Run:
    timestamp = "2024-01-01T00:00:00.000Z"
    metrics = [
        {"name": "loss", "value": 1, "timestamp": timestamp, "step": step, **fields}
        for step in steps
    ]
    return run_of(sequence, metrics)


@MERGERS
def test_segments_that_dont_overlap_are_not_held_back(merger_class: type[PointMerger]) -> None:
    merger = merger_class()
    most_held = held = 0
    taken = []
    for number in range(200):
        run = step_run(number, range(100 * number, 100 * number + 100))
        ready = list(merger.take(run.first[:2]))
        merger.add(run.sequence, run.points)
        taken += ready
        held += len(run.points) - len(ready)
        most_held = max(most_held, held)
    taken += list(merger.take(None))
    assert [point["step"] for point in taken] == list(range(20_000))
    assert most_held <= merger_class.SORT_AT_LEAST + 100


def test_one_overlapping_segment_delays_only_what_it_may_still_change() -> None:
    merger = EagerMerger()
    merger.add(1, step_run(1, range(10)).points)
    merger.add(2, step_run(2, range(5, 1000)).points)
    assert [point["step"] for point in list(merger.take((7, "")))] == list(range(7))
    merger.add(3, step_run(3, range(7, 9), value=3).points)
    rest = list(merger.take(None))
    assert [point["step"] for point in rest] == list(range(7, 1000))
    assert [point["value"] for point in rest[:3]] == [3, 3, 1]


def test_a_bound_inside_one_step_is_compared_by_timestamp() -> None:
    merger = EagerMerger()
    early, late = "2024-01-01T00:00:00.500Z", "2024-01-01T00:00:00.500001Z"
    for timestamp in (late, early):
        merger.add(1, [{"name": "a", "value": 1, "timestamp": timestamp}])
    assert [point["timestamp"] for point in list(merger.take((-1, late[:-1])))] == [early]


def test_a_point_without_step_comes_before_step_zero() -> None:
    merger = PointMerger()
    without = {"name": "z", "value": 1, "timestamp": "2030-01-01T00:00:00.000Z"}
    zero = {"name": "a", "value": 1, "timestamp": "2020-01-01T00:00:00.000Z", "step": 0}
    merger.add(1, [zero, without])
    assert list(merger.take(None)) == [without, zero]
