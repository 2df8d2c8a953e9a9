"""A run: the points of one update in canonical form, one per identity."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.points import NO_KEY, identity, run_of
from tests.contract.strategies import METRICS, Json, canonical_metrics

RECEIVED = 1_714_979_289_123_456_789
RECEIVED_AT = "2024-05-06T07:08:09.123456Z"
T = "2024-01-01T00:00:00.000Z"


def metric(**fields: Any) -> Json:
    return {"name": "loss", "value": 1, "timestamp": T, **fields}


def points_of(*metrics: Json) -> list[Json]:
    return run_of(RECEIVED, metrics).points


@pytest.mark.parametrize("fields", [{}, {"timestamp": None}], ids=["missing", "null"])
def test_a_point_without_timestamp_gets_the_time_of_receipt(fields: Json) -> None:
    assert points_of({"name": "loss", "value": 1, **fields}) == [
        {"name": "loss", "value": 1, "timestamp": RECEIVED_AT}
    ]


def test_null_step_and_null_labels_are_dropped() -> None:
    assert points_of(metric(step=None, labels=None)) == [metric()]


@pytest.mark.parametrize(("step", "stored"), [(1.0, "1"), (0.0, "0"), (-0.0, "0"), (2e3, "2000")])
def test_a_whole_float_step_becomes_an_integer(step: float, stored: str) -> None:
    (point,) = points_of(metric(step=step))
    assert repr(point["step"]) == stored


def test_a_fractional_step_is_refused() -> None:
    with pytest.raises(ValueError, match="step is not an integer"):
        points_of(metric(step=1.5))


@pytest.mark.parametrize("timestamp", ["", "yesterday", 5, ["2024"]], ids=repr)
def test_what_is_no_timestamp_is_refused_wherever_it_stands(timestamp: Any) -> None:
    wrong = metric(timestamp=timestamp)
    for metrics in ([wrong], [wrong, metric()], [metric(), wrong], [metric(step=1), dict(wrong)]):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            points_of(*metrics)


def test_a_timestamp_becomes_canonical() -> None:
    (point,) = points_of(metric(timestamp="2024-01-01t02:00:00+02:00"))
    assert point["timestamp"] == T


def test_everything_else_of_a_point_stays_as_it_was_sent() -> None:
    sent = metric(value=2**64 - 1, step=3, labels=[{"name": "b", "value": "\0"}])
    assert points_of(dict(sent)) == [sent]


def test_the_later_duplicate_in_a_body_stands() -> None:
    assert points_of(metric(value=1), metric(value=2), metric(value=3)) == [metric(value=3)]


@pytest.mark.parametrize(
    "again",
    [
        {"timestamp": "2024-01-01T01:00:00+01:00"},
        {"step": 5.0},
        {"labels": [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}]},
    ],
    ids=["same instant", "same step", "labels in another order"],
)
def test_identity_looks_at_what_a_field_means_not_how_it_is_written(again: Json) -> None:
    first = metric(
        step=5, labels=[{"name": "a", "value": "1"}, {"name": "b", "value": "2"}], value=1
    )
    (point,) = points_of(first, {**first, **again, "value": 2})
    assert point["value"] == 2


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Loss"},
        {"step": 0},
        {"timestamp": "2024-01-01T00:00:00.000000001Z"},
        {"labels": [{"name": "a", "value": "1"}]},
    ],
    ids=["name", "step", "timestamp", "labels"],
)
def test_points_that_differ_in_one_part_of_the_identity_both_stay(other: Json) -> None:
    assert len(points_of(metric(), metric(**other))) == 2


def test_labels_with_name_and_value_swapped_are_others() -> None:
    one, other = {"name": "a", "value": "b"}, {"name": "b", "value": "a"}
    assert len(points_of(metric(labels=[one]), metric(labels=[other]))) == 2


def test_missing_null_and_empty_labels_are_one_identity() -> None:
    assert len(points_of(metric(), metric(labels=None), metric(labels=[]))) == 1


def test_a_run_without_points_has_the_smallest_key() -> None:
    run = run_of(7, [])
    assert (run.sequence, run.points, run.first) == (7, [], NO_KEY)


@given(st.lists(canonical_metrics(), min_size=1, max_size=8))
def test_first_is_the_smallest_key_of_the_points(metrics: list[Json]) -> None:
    run = run_of(RECEIVED, metrics)
    keys = [(one.get("step", -1), one["timestamp"][:-1], one["name"]) for one in run.points]
    assert run.first == min(keys)


@given(st.lists(METRICS, max_size=6))
def test_a_run_is_canonical_without_duplicates_and_making_it_again_changes_nothing(
    metrics: list[Json],
) -> None:
    run = run_of(RECEIVED, metrics)
    assert len({identity(point) for point in run.points}) == len(run.points)
    again = run_of(RECEIVED, [dict(point) for point in run.points])
    assert again == run
