"""The limit on dead letters: a few pass, a release that reads nothing stops itself."""

import pytest

from worker.dead_letters import DeadLetterLimit, GaveUpError


def count(limit: DeadLetterLimit, batches: list[tuple[int, int]]) -> None:
    for applied, dead in batches:
        limit.count(applied, dead)


def test_a_few_dead_letters_among_many_updates_pass() -> None:
    limit = DeadLetterLimit(10)
    count(limit, [(20, 1)] * 1000)


def test_a_few_dead_letters_pass_even_if_there_is_nothing_else() -> None:
    limit = DeadLetterLimit(10)
    count(limit, [(0, 1)] * 20)


def test_a_flood_of_nothing_but_dead_letters_stops_the_worker() -> None:
    limit = DeadLetterLimit(10)
    with pytest.raises(GaveUpError, match="cannot read the queue"):
        limit.count(0, 500)


def test_dead_letters_that_come_one_by_one_stop_the_worker_too() -> None:
    limit = DeadLetterLimit(10)
    with pytest.raises(GaveUpError):
        count(limit, [(4, 1)] * 200)


def test_a_history_of_a_million_good_updates_does_not_buy_a_flood() -> None:
    limit = DeadLetterLimit(10)
    with pytest.raises(GaveUpError):
        count(limit, [(1_000_000, 0)] + [(0, 5)] * 50)


def test_the_share_decides_not_the_number_of_batches() -> None:
    limit = DeadLetterLimit(10)
    limit.count(901, 99)
    with pytest.raises(GaveUpError):
        limit.count(0, 5)


def test_old_dead_letters_fade() -> None:
    limit = DeadLetterLimit(10)
    limit.count(900, 90)
    limit.count(100_000, 0)
    limit.count(0, 90)


def test_a_batch_without_dead_letters_never_stops_the_worker() -> None:
    limit = DeadLetterLimit(10)
    with pytest.raises(GaveUpError):
        limit.count(0, 1000)
    limit.count(1, 0)


def test_a_limit_of_100_percent_lets_everything_go() -> None:
    limit = DeadLetterLimit(100)
    count(limit, [(0, 77)] * 100)
