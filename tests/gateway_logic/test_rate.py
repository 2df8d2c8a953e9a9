"""Requests per second and group, on a clock of the test's own."""

from collections import Counter

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp.web_request import BaseRequest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import Error, RequestError
from ingest.rate import RateLimit

SECOND_NS = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = 5 * SECOND_NS

    def __call__(self) -> int:
        return self.now_ns


RATES = st.integers(1, 50)
PAUSES_NS = st.lists(st.integers(0, SECOND_NS // 5) | st.integers(0, 5 * SECOND_NS), max_size=200)


@given(RATES, PAUSES_NS)
def test_no_window_has_more_than_its_rate_and_a_second_of_burst(
    rate: int, pauses_ns: list[int]
) -> None:
    clock = Clock()
    limit = RateLimit(rate, clock)
    admitted = []
    for pause_ns in pauses_ns:
        clock.now_ns += pause_ns
        if not limit.take("a"):
            admitted.append(clock.now_ns)
    for first, start in enumerate(admitted):
        for last, end in enumerate(admitted[first:], first):
            # An interval between two tokens is rounded down to whole nanoseconds.
            allowed = rate + (end - start) // (SECOND_NS // rate)
            assert last - first + 1 <= allowed


@given(RATES, PAUSES_NS)
def test_who_waits_as_long_as_told_is_admitted_and_not_a_moment_earlier(
    rate: int, pauses_ns: list[int]
) -> None:
    clock = Clock()
    limit = RateLimit(rate, clock)
    for pause_ns in pauses_ns:
        clock.now_ns += pause_ns
        wait_ns = limit.take("a")
        if wait_ns:
            clock.now_ns += wait_ns - 1
            assert limit.take("a") == 1
            clock.now_ns += 1
            assert limit.take("a") == 0


@given(RATES, PAUSES_NS, st.lists(st.sampled_from("abc"), min_size=200, max_size=200))
def test_groups_neither_share_tokens_nor_profit_from_being_forgotten(
    rate: int, pauses_ns: list[int], groups: list[str]
) -> None:
    clock = Clock()
    together = RateLimit(rate, clock)
    alone = {group: RateLimit(rate, clock) for group in "abc"}
    for pause_ns, group in zip(pauses_ns, groups, strict=False):
        clock.now_ns += pause_ns
        assert together.take(group) == alone[group].take(group)


def test_a_burst_of_one_second_is_admitted_then_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(3, clock)
    assert Counter(limit.take("a") == 0 for _ in range(10)) == {True: 3, False: 7}
    clock.now_ns += SECOND_NS // 3 + 1
    assert [limit.take("a") == 0 for _ in range(2)] == [True, False]


def test_groups_that_are_idle_are_forgotten() -> None:
    clock = Clock()
    limit = RateLimit(10, clock)
    for number in range(1000):
        limit.take(f"group-{number}")
        clock.now_ns += SECOND_NS // 100
    assert len(limit) <= 201


async def endpoint(_request: BaseRequest, _request_id: str) -> web.StreamResponse:
    return web.Response()


async def test_a_refusal_says_when_to_come_again() -> None:
    guarded = RateLimit(1, Clock()).guard(endpoint)
    request = make_mocked_request("GET", "/", {"AI-Resource-Group": "default"})
    await guarded(request, "")
    with pytest.raises(RequestError) as caught:
        await guarded(request, "")
    assert caught.value.failure is Error.GROUP_LIMITED.value
    assert caught.value.headers["Retry-After"] == "1"


def test_no_limit_costs_nothing() -> None:
    assert RateLimit(0).guard(endpoint) is endpoint
