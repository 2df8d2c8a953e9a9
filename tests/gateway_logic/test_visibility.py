"""Which accepted updates a read has to wait for."""

from collections.abc import Iterable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ingest.contract.documents import segment_id
from ingest.visibility import Accepted, Unseen

KEYS = ["group/run.1", "group/run.2", "group2/run.1", "grou/p"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Messages:
    """Add messages to an Unseen, each resource at the ordinal that is its place among the keys."""

    def __init__(self, unseen: Unseen) -> None:
        self._unseen = unseen
        self._numbers = count()

    def add(self, *keys: str, sequence: int = 1) -> list[bytes]:
        """Add a message with these resources; returns their segments."""
        message_id = next(self._numbers).to_bytes(12, "big")
        ordinals = {key: ordinal for ordinal, key in enumerate(keys)}
        self._unseen.add(
            message_id, {key: Accepted(ordinal, sequence) for key, ordinal in ordinals.items()}
        )
        return [segment_id(message_id, ordinal) for ordinal in ordinals.values()]


def is_empty(unseen: Unseen) -> bool:
    """Nothing is left behind: the attribute is looked at because a leak shows nowhere else."""
    return not unseen._messages and len(unseen) == 0  # noqa: SLF001


def test_a_segment_is_waited_for_until_a_read_has_seen_it() -> None:
    unseen = Unseen(clock=Clock())
    messages = Messages(unseen)
    first, third = messages.add(KEYS[0], KEYS[1])
    (second,) = messages.add(KEYS[0])
    assert unseen.of([KEYS[0]]) == {first: KEYS[0], second: KEYS[0]}
    assert unseen.of(KEYS) == {first: KEYS[0], second: KEYS[0], third: KEYS[1]}
    assert unseen.of([]) == unseen.of(["group/other"]) == {}

    unseen.seen({first: KEYS[0], third: KEYS[1], b"never added": KEYS[0]})
    assert unseen.of(KEYS) == {second: KEYS[0]}
    unseen.seen({first: KEYS[0], second: KEYS[0]})
    assert is_empty(unseen)


def test_a_group_is_all_resources_of_that_name_and_no_other() -> None:
    unseen = Unseen(clock=Clock())
    first, second, third, _ = Messages(unseen).add(*KEYS)
    assert set(unseen.of_group("group")) == {first, second}
    assert set(unseen.of_group("group2")) == {third}
    assert unseen.of_group("gro") == {}


def test_a_segment_is_hidden_by_a_deletion_that_is_not_older_than_its_last_update() -> None:
    unseen = Unseen(clock=Clock())
    messages = Messages(unseen)
    (first,) = messages.add(KEYS[0], sequence=20)
    (second,) = messages.add(KEYS[1], sequence=10)
    both = {first: KEYS[0], second: KEYS[1]}
    assert unseen.deleted(both, {}) == set()
    assert unseen.deleted(both, {KEYS[0]: 19, KEYS[1]: 9}) == set()
    assert unseen.deleted(both, {KEYS[0]: 20}) == {first}
    assert unseen.deleted(both, {KEYS[0]: 20, KEYS[1]: 11}) == {first, second}
    assert unseen.deleted({first: KEYS[0]}, {KEYS[0]: 20, KEYS[1]: 11}) == {first}


def test_a_segment_that_is_forgotten_need_not_be_waited_for() -> None:
    unseen = Unseen(clock=Clock())
    segments = dict(zip(Messages(unseen).add(*KEYS), KEYS, strict=True))
    unseen.seen({one: key for one, key in segments.items() if key != KEYS[1]})
    never_added = {segment_id(bytes(11) + b"x", 0): KEYS[0]}
    hidden = unseen.deleted(segments | never_added, {})
    assert hidden == {one for one, key in segments.items() if key != KEYS[1]} | set(never_added)


def test_what_a_caller_does_with_the_answer_changes_nothing() -> None:
    unseen = Unseen(clock=Clock())
    (segment,) = Messages(unseen).add(KEYS[0])
    unseen.of(KEYS[:1]).clear()
    assert unseen.of(KEYS[:1]) == {segment: KEYS[0]}


def test_what_is_older_than_the_limit_is_forgotten() -> None:
    clock = Clock()
    unseen = Unseen(max_age_s=60, clock=clock)
    messages = Messages(unseen)
    (old,) = messages.add(KEYS[0])
    clock.now += 30
    (new,) = messages.add(KEYS[1])
    clock.now += 30
    assert set(unseen.of(KEYS)) == {old, new}
    clock.now += 0.001
    assert set(unseen.of(KEYS)) == set(unseen.of_group("group")) == {new}
    clock.now += 60
    assert unseen.of_group("group") == {}
    assert is_empty(unseen)


def test_without_reads_no_more_is_remembered_than_the_limits_and_the_oldest_goes_first() -> None:
    for limits in ({"max_segments": 3}, {"max_messages": 3}):
        unseen = Unseen(**limits, clock=Clock())
        messages = Messages(unseen)
        added = [messages.add(f"group/run.{number}")[0] for number in range(100)]
        left = unseen.of_group("group")
        assert list(left) == added[-3:]
        unseen.seen(left)
        assert is_empty(unseen)


def test_without_reads_old_segments_are_forgotten_when_new_ones_come() -> None:
    clock = Clock()
    unseen = Unseen(max_age_s=1, clock=clock)
    messages = Messages(unseen)
    for number in range(100):
        messages.add(f"group/run.{number}")
    clock.now += 2
    (new,) = messages.add(KEYS[0])
    unseen.seen({new: KEYS[0]})
    assert is_empty(unseen)


class UnseenMachine(RuleBasedStateMachine):
    """Any sequence of calls, against a list of (time, {segment: key}), one for each message."""

    MAX_AGE_S = 10.0
    MAX_SEGMENTS = 6
    MAX_MESSAGES = 4

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.unseen = Unseen(self.MAX_AGE_S, self.MAX_SEGMENTS, self.MAX_MESSAGES, self.clock)
        self.messages = Messages(self.unseen)
        self.model: list[tuple[float, dict[bytes, str]]] = []

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, unique=True))
    def add(self, keys: list[str]) -> None:
        segments = self.messages.add(*keys)
        self.model.append((self.clock.now, dict(zip(segments, keys, strict=True))))
        self.forget()

    @rule(seconds=st.sampled_from([0.5, 3, 9, 11]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(keys=st.lists(st.sampled_from(KEYS)))
    def see(self, keys: list[str]) -> None:
        self.unseen.seen(self.unseen.of(keys))
        self.forget()
        self.model = [
            (added, left)
            for added, segments in self.model
            if (left := {one: key for one, key in segments.items() if key not in keys})
        ]

    def forget(self) -> None:
        oldest = self.clock.now - self.MAX_AGE_S
        while self.model and (
            self.model[0][0] < oldest
            or len(self.model) > self.MAX_MESSAGES
            or len(self.remembered(KEYS)) > self.MAX_SEGMENTS
        ):
            self.model.pop(0)

    def remembered(self, keys: Iterable[str]) -> dict[bytes, str]:
        return {
            one: key for _, segments in self.model for one, key in segments.items() if key in keys
        }

    @rule()
    def compare(self) -> None:
        self.forget()
        for key in KEYS:
            assert self.unseen.of([key]) == self.remembered([key])

    @invariant()
    def bounded(self) -> None:
        assert len(self.unseen) <= self.MAX_SEGMENTS
        assert len(self.unseen._messages) <= self.MAX_MESSAGES  # noqa: SLF001

    def teardown(self) -> None:
        self.compare()
        self.see(KEYS)
        assert is_empty(self.unseen)


TestUnseen = UnseenMachine.TestCase


@given(st.lists(st.sampled_from(KEYS)))
def test_of_no_matter_how_often_a_key_is_asked_for(keys: list[str]) -> None:
    unseen = Unseen(clock=Clock())
    (segment,) = Messages(unseen).add(KEYS[0])
    assert unseen.of(keys) == ({segment: KEYS[0]} if KEYS[0] in keys else {})
