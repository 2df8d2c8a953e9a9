"""When `send`, `query` and the demo try again."""

from collections.abc import Callable

import pytest

from ingest.remote.retry import Patience, retry_after_s


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 0 "}, 0),
        ({"Retry-After": "3600"}, 3600),
        (
            {
                "Retry-After": "Wed, 25 Nov 2026 12:00:30 GMT",
                "Date": "Wed, 25 Nov 2026 12:00:00 GMT",
            },
            30,
        ),
        # RFC 850, and a date that has passed.
        (
            {
                "Retry-After": "Wednesday, 25-Nov-26 12:00:05 GMT",
                "Date": "Wed, 25 Nov 2026 12:00:00 GMT",
            },
            5,
        ),
        ({"Retry-After": "Wed, 25 Nov 2020 12:00:00 GMT"}, 0),
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "\u0661"}, None),  # a digit, but of another script
        ({"Retry-After": "Wed, 99 Nov 2026 12:00:00 GMT"}, None),
        ({"Retry-After": "Wed, 25 Nov 2026 12:00:00 +99999999999999999"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_pauses_grow_and_stay_below_a_cap(clock: Callable[[], float]) -> None:
    patience = Patience(1e9, clock)
    pauses = [patience.pause_s() or 0.0 for _ in range(20)]
    assert all(0.125 <= pause <= 10 for pause in pauses)
    assert max(pauses[:3]) < 1 < min(pauses[-5:])


def test_a_pause_is_never_shorter_than_the_answer_asks_for(clock: Callable[[], float]) -> None:
    patience = Patience(1000, clock)
    assert patience.pause_s(60.0) == 60
    assert all((patience.pause_s(5.0) or 0) >= 5 for _ in range(10))


def test_patience_ends_before_a_pause_that_would_exceed_it(clock: Clock) -> None:
    patience = Patience(30, clock)
    assert patience.pause_s(31.0) is None
    assert patience.pause_s(29.0) == 29
    clock.now += 29.95
    assert patience.pause_s() is None
    assert Patience(0, clock).pause_s() is None
