"""What updates do to tags and custom info: a merge that knows no order."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.merge import Values, is_visible, merge_values, values_of
from tests.contract.strategies import Update, updates

VALUES = st.dictionaries(
    st.sampled_from("ab"), st.tuples(st.integers(1, 4), st.sampled_from(["x", "y", "é"]))
)


def joined(*values: Values) -> Values:
    result = deepcopy(values[0])
    for others in values[1:]:
        merge_values(result, deepcopy(others))
    return result


@given(VALUES, VALUES)
def test_merge_is_commutative(one: Values, other: Values) -> None:
    assert joined(one, other) == joined(other, one)


@given(VALUES, VALUES, VALUES)
def test_merge_is_associative(a: Values, b: Values, c: Values) -> None:
    assert joined(joined(a, b), c) == joined(a, joined(b, c))


@given(VALUES, VALUES)
def test_merge_is_idempotent(one: Values, other: Values) -> None:
    assert joined(one, one) == one
    assert joined(one, other, other, one) == joined(one, other)


@given(VALUES, VALUES)
def test_merge_leaves_the_other_values_as_they_were(one: Values, other: Values) -> None:
    before = deepcopy(other)
    merge_values(one, other)
    assert other == before


@given(updates())
def test_merged_values_are_the_latest_of_every_name(items: list[Update]) -> None:
    latest: Values = {}
    for update in sorted(items, key=lambda one: one.sequence):
        for tag in update.resource.get("tags", ()):
            latest[tag["name"]] = (update.sequence, tag["value"])
    of_each = [values_of(one.sequence, one.resource.get("tags", ())) for one in items]
    assert joined({}, *of_each) == latest


def test_of_two_items_with_one_name_the_later_in_the_array_stands() -> None:
    items = [{"name": "a", "value": "z"}, {"name": "b", "value": "1"}, {"name": "a", "value": "b"}]
    assert values_of(5, items) == {"a": (5, "b"), "b": (5, "1")}


@pytest.mark.parametrize(
    ("sequence", "deleted", "visible"),
    [
        (None, None, False),
        (None, 5, False),
        (5, None, True),
        (5, 5, False),
        (4, 5, False),
        (6, 5, True),
    ],
)
def test_only_what_is_newer_than_the_deletion_is_visible(
    sequence: int | None, deleted: int | None, *, visible: bool
) -> None:
    assert is_visible(sequence, deleted) is visible
