"""Segments: one per resource and message, cut when it would be too large."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract import documents
from ingest.contract.documents import (
    SEGMENT_MAX_BYTES,
    SEGMENT_MAX_POINTS,
    prefix_range,
    run_texts,
    segment_id,
    segment_runs,
    segments,
    value_id,
)
from ingest.contract.message import resource_key
from ingest.contract.points import Run, run_of
from tests.contract.strategies import MESSAGE_ID, Json, canonical_metrics, encoded_runs, texts

T = "2024-01-01T00:00:00.000Z"
KEY = "default/run"
# What a segment may hold beside its points: brackets, commas and sequences.
_FRAME_BYTES = 64


def run_with(count: int, *, first_step: int = 0, sequence: int = 1, padding: int = 0) -> Run:
    labels = [{"name": "x" * min(padding, 256), "value": "y"}] * (padding // 256 or 1)
    metrics: list[Json] = [
        {"name": "loss", "value": 1, "timestamp": T, "step": first_step + n, "labels": labels}
        for n in range(count)
    ]
    return run_of(sequence, metrics)


def runs_in(part: Json) -> list[tuple[int, list[Json]]]:
    return [(sequence, points) for sequence, points in segment_runs(part)]


def points_in(parts: list[Json]) -> list[tuple[int, Json]]:
    return [
        (sequence, point)
        for part in parts
        for sequence, points in segment_runs(part)
        for point in points
    ]


def assert_first_bounds_every_point(part: Json) -> None:
    first = (part["firstStep"], part["firstTimestamp"])
    for _, point in points_in([part]):
        assert first <= (point.get("step", -1), point["timestamp"][:-1])


def test_what_one_message_holds_of_one_resource_is_usually_one_segment() -> None:
    runs = [run_with(10, sequence=5, first_step=7), run_with(10, sequence=9, first_step=3)]
    (document,) = segments(MESSAGE_ID, 2, KEY, encoded_runs(runs))
    text = orjson.dumps([[run.sequence, run.points] for run in runs])
    assert document == {
        "_id": MESSAGE_ID + bytes([0, 2, 0, 0]),
        "resource": KEY,
        "firstStep": 3,
        "firstTimestamp": T[:-1],
        "firstSequence": 5,
        "lastSequence": 9,
        "points": 20,
        "size": len(text),
        "runs": text.decode(),
    }
    assert runs_in(document) == [(5, runs[0].points), (9, runs[1].points)]


def test_an_update_without_points_leaves_a_segment_that_sorts_first() -> None:
    (document,) = segments(MESSAGE_ID, 0, KEY, run_texts(run_of(5, [])))
    assert (document["firstStep"], document["firstTimestamp"]) == (-1, "")
    assert (document["lastSequence"], document["points"]) == (5, 0)
    assert runs_in(document) == [(5, [])]


def test_a_run_without_points_does_not_lower_the_bound_of_the_others() -> None:
    runs = [run_of(5, []), run_with(1, first_step=8)]
    (document,) = segments(MESSAGE_ID, 0, KEY, encoded_runs(runs))
    assert (document["firstStep"], document["firstTimestamp"]) == (8, T[:-1])


@pytest.mark.parametrize(("extra", "parts"), [(0, 1), (1, 2)])
def test_a_segment_is_cut_beyond_its_number_of_points(extra: int, parts: int) -> None:
    half = SEGMENT_MAX_POINTS // 2
    runs = [run_with(half), run_with(half, sequence=2), run_with(extra, sequence=3)]
    result = segments(MESSAGE_ID, 0, KEY, encoded_runs(runs))
    assert len(result) == parts
    assert all(part["points"] <= SEGMENT_MAX_POINTS for part in result)


def test_a_segment_is_cut_beyond_its_bytes() -> None:
    runs = [run_with(200, padding=2560, sequence=n) for n in range(1, 9)]
    result = segments(MESSAGE_ID, 0, KEY, encoded_runs(runs))
    assert len(result) > 1
    assert max(len(part["runs"]) for part in result) <= SEGMENT_MAX_BYTES + _FRAME_BYTES
    assert points_in(result) == [(run.sequence, point) for run in runs for point in run.points]


def test_the_largest_run_is_cut_into_segments_that_each_fit() -> None:
    run = run_with(1000, padding=20 * 256)
    assert len(orjson.dumps(run.points)) > 2 * SEGMENT_MAX_BYTES
    result = segments(MESSAGE_ID, 0, KEY, run_texts(run))
    assert max(len(part["runs"]) for part in result) <= SEGMENT_MAX_BYTES + _FRAME_BYTES
    assert points_in(result) == [(1, point) for point in run.points]
    assert sum(part["points"] for part in result) == 1000
    for part in result:
        assert_first_bounds_every_point(part)


def test_a_segment_of_very_many_empty_runs_stays_far_below_the_limit_of_a_document() -> None:
    runs = [run_of(2**62 + n, []) for n in range(65535)]
    for part in segments(MESSAGE_ID, 0, KEY, encoded_runs(runs)):
        assert len(part["runs"]) < 2 * SEGMENT_MAX_BYTES


@given(
    st.lists(st.lists(canonical_metrics(), max_size=6), min_size=1, max_size=6),
    st.integers(1, 8),
    st.integers(150, 600),
)
def test_parts_together_hold_every_point_once_within_the_limits(
    metrics: list[list[Json]], max_points: int, max_bytes: int
) -> None:
    runs = [run_of(number, one) for number, one in enumerate(metrics, start=1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "SEGMENT_MAX_POINTS", max_points)
        patch.setattr(documents, "SEGMENT_MAX_BYTES", max_bytes)
        parts = segments(MESSAGE_ID, 3, KEY, encoded_runs(runs))
        again = segments(MESSAGE_ID, 3, KEY, encoded_runs(runs))

    assert again == parts
    assert points_in(parts) == [(run.sequence, point) for run in runs for point in run.points]
    # Every update is seen in some segment, also one without points.
    assert {s for part in parts for s, _ in segment_runs(part)} == {run.sequence for run in runs}
    assert [part["_id"] for part in parts] == [
        segment_id(MESSAGE_ID, 3, number) for number in range(len(parts))
    ]
    for part in parts:
        held = runs_in(part)
        assert part["points"] == sum(len(points) for _, points in held)
        assert part["lastSequence"] == max(sequence for sequence, _ in held)
        assert part["points"] <= max_points or len(held) == 1
        sizes = [len(orjson.dumps(points)) for _, points in held]
        assert sum(sizes) <= max_bytes or part["points"] == 1
        assert_first_bounds_every_point(part)
    for part, following in pairwise(parts):  # not cut without need
        (_, first), *_ = segment_runs(following)
        size = sum(len(orjson.dumps(points)) for _, points in segment_runs(part))
        full = part["points"] + len(first) > max_points
        assert full or size + len(orjson.dumps(first)) > max_bytes


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), unique=True))
def test_segment_ids_are_16_bytes_and_differ_in_ordinal_and_part(
    places: list[tuple[int, int]],
) -> None:
    ids = {segment_id(MESSAGE_ID, ordinal, part) for ordinal, part in places}
    assert len(ids) == len(places)
    assert all(len(one) == 16 and one.startswith(MESSAGE_ID) for one in ids)


def test_isolated_segments_never_have_the_id_of_a_whole_message_s_segment() -> None:
    runs = [run_with(SEGMENT_MAX_POINTS, sequence=n) for n in range(1, 6)]
    arguments: tuple[Any, ...] = (MESSAGE_ID, 3, KEY, encoded_runs(runs))
    whole, isolated = segments(*arguments), segments(*arguments, isolated=True)
    assert len({part["_id"] for part in whole + isolated}) == 10
    assert points_in(isolated) == points_in(whole)


@given(texts(4).map(lambda text: text + "/"), st.text("/0.a\x00\uffff\U0001f600", max_size=4))
def test_prefix_range_holds_exactly_for_what_begins_with_the_prefix(prefix: str, end: str) -> None:
    condition = {name: value.encode() for name, value in prefix_range(prefix).items()}
    for candidate in (prefix + end, prefix[:-1] + end, end):
        within = condition["$gte"] <= candidate.encode() < condition["$lt"]
        assert within == candidate.startswith(prefix)


_PLACES = st.tuples(
    st.text("a.-", min_size=1, max_size=3),
    st.text("a.-", min_size=1, max_size=3),
    st.text("a/.-", min_size=1, max_size=3),
)


@given(_PLACES, _PLACES)
def test_no_two_resources_share_a_key_and_no_two_values_an_id(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    one_key, other_key = resource_key(*one[:2]), resource_key(*other[:2])
    assert (one_key == other_key) == (one[:2] == other[:2])
    assert (value_id(one_key, one[2]) == value_id(other_key, other[2])) == (one == other)


def test_names_with_slashes_dollars_and_nul_make_ids_of_their_own() -> None:
    names = ["a", "a/b", "/", "$", "a.b", "\0", "a\0b"]
    assert len({value_id(KEY, name) for name in names}) == len(names)
