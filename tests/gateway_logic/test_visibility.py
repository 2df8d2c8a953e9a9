"""Which accepted updates a read has to wait for."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ingest.visibility import Unseen

KEYS = ["group/run.1", "group/run.2", "group2/run.1", "grou/p"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def is_empty(unseen: Unseen) -> bool:
    """Nothing is left behind: the attributes are looked at because a leak shows nowhere else."""
    return not any((unseen._segments, unseen._by_key))  # noqa: SLF001


def test_a_segment_is_waited_for_until_a_read_has_seen_it() -> None:
    unseen = Unseen(clock=Clock())
    unseen.add(KEYS[0], b"1", 1)
    unseen.add(KEYS[0], b"2", 1)
    unseen.add(KEYS[1], b"3", 1)
    assert unseen.of([KEYS[0]]) == {b"1", b"2"}
    assert unseen.of(KEYS) == {b"1", b"2", b"3"}
    assert unseen.of([]) == unseen.of(["group/other"]) == set()

    unseen.seen([b"1", b"3", b"never added"])
    assert unseen.of(KEYS) == {b"2"}
    unseen.seen([b"1", b"2"])
    assert is_empty(unseen)


def test_a_group_is_all_resources_of_that_name_and_no_other() -> None:
    unseen = Unseen(clock=Clock())
    for number, key in enumerate(KEYS):
        unseen.add(key, bytes([number]), 1)
    assert unseen.of_group("group") == {b"\0", b"\1"}
    assert unseen.of_group("group2") == {b"\2"}
    assert unseen.of_group("gro") == set()


def test_one_segment_of_several_updates_is_waited_for_once() -> None:
    unseen = Unseen(clock=Clock())
    unseen.add(KEYS[0], b"1", 1)
    unseen.add(KEYS[0], b"1", 2)
    assert unseen.of(KEYS) == {b"1"}
    unseen.seen([b"1"])
    assert is_empty(unseen)


def test_keys_are_those_of_the_segments_that_are_not_yet_seen() -> None:
    unseen = Unseen(clock=Clock())
    unseen.add(KEYS[0], b"1", 1)
    unseen.add(KEYS[1], b"2", 1)
    unseen.seen([b"2"])
    assert unseen.keys([b"1", b"2", b"never added"]) == {KEYS[0]}


def test_a_segment_is_hidden_by_a_deletion_that_is_not_older_than_its_last_update() -> None:
    unseen = Unseen(clock=Clock())
    unseen.add(KEYS[0], b"1", 20)
    unseen.add(KEYS[0], b"1", 10)  # which of a group's updates is added last doesn't matter
    unseen.add(KEYS[1], b"2", 10)
    both = [b"1", b"2"]
    assert unseen.deleted(both, {}) == set()
    assert unseen.deleted(both, {KEYS[0]: 19, KEYS[1]: 9}) == set()
    assert unseen.deleted(both, {KEYS[0]: 20}) == {b"1"}
    assert unseen.deleted(both, {KEYS[0]: 20, KEYS[1]: 11}) == {b"1", b"2"}


def test_a_segment_that_is_forgotten_need_not_be_waited_for() -> None:
    assert Unseen(clock=Clock()).deleted([b"1"], {}) == {b"1"}


def test_what_a_caller_does_with_the_answer_changes_nothing() -> None:
    unseen = Unseen(clock=Clock())
    unseen.add(KEYS[0], b"1", 1)
    unseen.of(KEYS[:1]).clear()
    assert unseen.of(KEYS[:1]) == {b"1"}


def test_what_is_older_than_the_limit_is_forgotten() -> None:
    clock = Clock()
    unseen = Unseen(max_age_s=60, clock=clock)
    unseen.add(KEYS[0], b"old", 1)
    clock.now += 30
    unseen.add(KEYS[1], b"new", 1)
    clock.now += 30
    assert unseen.of(KEYS) == {b"old", b"new"}
    clock.now += 0.001
    assert unseen.of(KEYS) == unseen.of_group("group") == {b"new"}
    clock.now += 60
    assert unseen.of_group("group") == set()
    assert is_empty(unseen)


def test_without_reads_no_more_is_remembered_than_the_limit_and_the_oldest_goes_first() -> None:
    unseen = Unseen(max_segments=3, clock=Clock())
    for number in range(100):
        unseen.add(f"group/run.{number}", bytes([number]), 1)
    assert unseen.of_group("group") == {b"\x61", b"\x62", b"\x63"}
    unseen.seen([b"\x61", b"\x62", b"\x63"])
    assert is_empty(unseen)


def test_without_reads_old_segments_are_forgotten_when_new_ones_come() -> None:
    clock = Clock()
    unseen = Unseen(max_age_s=1, clock=clock)
    for number in range(100):
        unseen.add(f"group/run.{number}", bytes([number]), 1)
    clock.now += 2
    unseen.add(KEYS[0], b"new", 1)
    unseen.seen([b"new"])
    assert is_empty(unseen)


class UnseenMachine(RuleBasedStateMachine):
    """Any sequence of calls, against a list of (time, key, segment)."""

    MAX_AGE_S = 10.0
    MAX_SEGMENTS = 4

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.unseen = Unseen(self.MAX_AGE_S, self.MAX_SEGMENTS, self.clock)
        self.model: list[tuple[float, str, bytes]] = []

    @rule(key=st.sampled_from(KEYS), number=st.integers(0, 3))
    def add(self, key: str, number: int) -> None:
        segment = f"{key}{number}".encode()  # a segment belongs to one resource
        self.unseen.add(key, segment, 1)
        self.model = self.fresh()
        if segment not in [known for _, _, known in self.model]:
            self.model = [*self.model, (self.clock.now, key, segment)][-self.MAX_SEGMENTS :]

    @rule(seconds=st.sampled_from([0.5, 3, 9, 11]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(keys=st.lists(st.sampled_from(KEYS)))
    def see(self, keys: list[str]) -> None:
        self.unseen.seen(self.unseen.of(keys))
        self.model = [one for one in self.fresh() if one[1] not in keys]

    def fresh(self) -> list[tuple[float, str, bytes]]:
        return [one for one in self.model if one[0] >= self.clock.now - self.MAX_AGE_S]

    @rule()
    def compare(self) -> None:
        self.model = self.fresh()
        for key in KEYS:
            assert self.unseen.of([key]) == {one[2] for one in self.model if one[1] == key}

    @invariant()
    def bounded(self) -> None:
        assert len(self.unseen._segments) <= self.MAX_SEGMENTS  # noqa: SLF001

    def teardown(self) -> None:
        self.compare()
        self.see(KEYS)
        assert is_empty(self.unseen)


TestUnseen = UnseenMachine.TestCase


@given(st.lists(st.sampled_from(KEYS)))
def test_of_no_matter_how_often_a_key_is_asked_for(keys: list[str]) -> None:
    unseen = Unseen(clock=Clock())
    unseen.add(KEYS[0], b"1", 1)
    assert unseen.of(keys) == ({b"1"} if KEYS[0] in keys else set())
