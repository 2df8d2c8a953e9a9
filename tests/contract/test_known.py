"""Known resources: an upsert is left out only if it would change nothing."""

from hypothesis import given
from hypothesis import strategies as st

from worker.known import KnownResources

BATCHES = st.lists(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 9), max_size=4))


@given(BATCHES, st.integers(0, 6))
def test_what_is_stored_is_the_same_as_if_every_batch_was_written(
    batches: list[dict[str, int]], max_keys: int
) -> None:
    known = KnownResources(max_keys)
    stored: dict[str, int] = {}
    expected: dict[str, int] = {}
    for batch in batches:
        new = known.unknown(batch)
        for written, into in ((new, stored), (batch, expected)):
            for key, sequence in written.items():
                into[key] = min(into.get(key, sequence), sequence)
        known.note(new)
    assert stored == expected


def test_a_known_resource_is_not_written_again_unless_it_was_there_earlier() -> None:
    known = KnownResources()
    known.note({"a": 5})
    assert known.unknown({"a": 5, "b": 5}) == {"b": 5}
    assert known.unknown({"a": 4}) == {"a": 4}
    assert known.unknown({"a": 6}) == {}


def test_beyond_the_limit_the_oldest_are_forgotten() -> None:
    known = KnownResources(2)
    known.note({"a": 1, "b": 1, "c": 1})
    assert known.unknown({"a": 1, "b": 1, "c": 1}) == {"a": 1}


def test_what_is_known_is_written_again_now_and_then() -> None:
    now = 0.0
    known = KnownResources(max_age_s=600, clock=lambda: now)
    known.note({"a": 5})
    now = 600
    assert known.unknown({"a": 5}) == {}
    now = 601
    assert known.unknown({"a": 5}) == {"a": 5}
    known.note({"a": 5})
    now = 1201
    assert known.unknown({"a": 5}) == {}
