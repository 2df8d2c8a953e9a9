"""What updates do to a resource apart from its points: a merge that knows no order."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.merge import Change, Versioned, change_of, is_visible
from ingest.contract.message import Entry
from tests.contract.strategies import Update, updates

_VALUES = st.dictionaries(
    st.sampled_from("ab"), st.tuples(st.integers(1, 4), st.sampled_from(["x", "y", "é"]))
)
CHANGES = st.builds(Change, st.integers(1, 9), st.integers(1, 9), _VALUES, _VALUES)


def joined(*changes: Change) -> Change:
    result = deepcopy(changes[0])
    for change in changes[1:]:
        result.merge(deepcopy(change))
    return result


@given(CHANGES, CHANGES)
def test_merge_is_commutative(one: Change, other: Change) -> None:
    assert joined(one, other) == joined(other, one)


@given(CHANGES, CHANGES, CHANGES)
def test_merge_is_associative(a: Change, b: Change, c: Change) -> None:
    assert joined(joined(a, b), c) == joined(a, joined(b, c))


@given(CHANGES, CHANGES)
def test_merge_is_idempotent(one: Change, other: Change) -> None:
    assert joined(one, one) == one
    assert joined(one, other, other, one) == joined(one, other)


@given(CHANGES, CHANGES)
def test_merge_leaves_the_other_change_as_it_was(one: Change, other: Change) -> None:
    before = deepcopy(other)
    one.merge(other)
    assert other == before


@given(updates())
def test_a_merged_change_holds_the_latest_value_of_every_name(items: list[Update]) -> None:
    entries = [Entry(one.sequence, "r", one.resource_group, one.resource) for one in items]
    merged = joined(*(change_of(entry) for entry in entries))

    tags: dict[str, Versioned] = {}
    for update in sorted(items, key=lambda one: one.sequence):
        for tag in update.resource.get("tags", ()):
            tags[tag["name"]] = (update.sequence, tag["value"])
    sequences = [update.sequence for update in items]
    assert (merged.created, merged.modified) == (min(sequences), max(sequences))
    assert merged.tags == tags


def test_a_change_is_what_one_update_does_and_the_later_of_two_names_stands() -> None:
    resource = {
        "executionId": "abcd",
        "tags": [{"name": "a", "value": "z"}, {"name": "a", "value": "b"}],
        "customInfo": [{"name": "a", "value": "2"}, {"name": "b", "value": "1"}],
    }
    change = change_of(Entry(5, "request", "group", resource))
    assert change == Change(5, 5, {"a": (5, "b")}, {"a": (5, "2"), "b": (5, "1")})


def test_an_update_with_only_an_execution_id_still_creates_and_modifies() -> None:
    assert change_of(Entry(5, "request", "group", {"executionId": "abcd"})) == Change(5, 5)


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
