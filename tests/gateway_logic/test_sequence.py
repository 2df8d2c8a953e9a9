"""Sequences rise whatever the clock does."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.timestamps import timestamp_from_ns
from ingest.sequence import SequenceSource

NOW = 1_700_000_000_000_000_000
READINGS = st.lists(st.integers(0, 2**62), min_size=1, max_size=50)
JUMPS = st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=50)


def numbers_at(readings: list[int]) -> list[int]:
    clock = iter(readings)
    source = SequenceSource(lambda: next(clock))
    return [source.next() for _ in readings]


def wandering_clock(jumps: list[int]) -> list[int]:
    readings = [NOW]
    for jump in jumps:
        readings.append(readings[-1] + jump)
    return readings


@given(READINGS | JUMPS.map(wandering_clock))
def test_numbers_rise_and_their_microseconds_differ_under_any_clock(readings: list[int]) -> None:
    numbers = numbers_at(readings)
    assert all(one // 1000 < other // 1000 for one, other in pairwise(numbers))
    assert len({timestamp_from_ns(one) for one in numbers}) == len(numbers)


@given(st.integers(NOW, 2**62), st.lists(st.integers(1_000, 10**12), max_size=50))
def test_while_the_clock_advances_a_number_is_the_clock_s_microsecond(
    start: int, steps: list[int]
) -> None:
    readings = [start]
    for step in steps:
        readings.append(readings[-1] + step)
    assert [n // 1000 for n in numbers_at(readings)] == [reading // 1000 for reading in readings]


def test_a_clock_that_stands_still_or_jumps_back_costs_a_microsecond_a_number() -> None:
    first, *others = numbers_at([NOW, NOW, NOW - 10**15, 0, NOW - 1])
    assert others == [first + 1000 * n for n in range(1, 5)]


def test_after_a_jump_back_numbers_follow_the_clock_again_once_it_has_caught_up() -> None:
    numbers = numbers_at([NOW, NOW - 10**9, NOW + 10**9])
    assert numbers[-1] // 1000 == (NOW + 10**9) // 1000


def test_the_last_three_digits_are_one_process_s_own() -> None:
    assert len({number % 1000 for number in numbers_at([NOW, NOW + 1, NOW + 10**9])}) == 1
    assert len({numbers_at([NOW])[0] for _ in range(100)}) > 1


def test_without_a_clock_of_its_own_it_takes_the_wall_clock() -> None:
    assert SequenceSource().next() > NOW
