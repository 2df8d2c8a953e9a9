"""Canonical timestamps, against datetime's own arithmetic."""

import re
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.parse import InvalidUpdateError, UpdateParser
from ingest.contract.points import run_of
from ingest.contract.timestamps import canonical_timestamp, timestamp_from_ns
from tests.contract.strategies import Instant, instants

CANONICAL = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.([0-9]{3}|[0-9]{6}|[0-9]{9})Z"
)
PARSER = UpdateParser()


def is_accepted(timestamp: str) -> bool:
    metric = {"name": "a", "value": 1, "timestamp": timestamp}
    try:
        PARSER.parse(orjson.dumps({"executionId": "abcd", "metrics": [metric]}))
    except InvalidUpdateError:
        return False
    return True


def stored(timestamp: str) -> str:
    """Return what a point's timestamp becomes, which takes a short cut where it can."""
    (point,) = run_of(1, [{"name": "a", "value": 1, "timestamp": timestamp}]).points
    return str(point["timestamp"])


@given(instants())
def test_the_canonical_form_is_utc_with_as_few_of_3_6_or_9_digits_as_keep_the_value(
    instant: Instant,
) -> None:
    canonical = canonical_timestamp(instant.text)
    assert canonical == instant.canonical
    assert CANONICAL.fullmatch(canonical)


@given(instants())
def test_canonical_stays_canonical(instant: Instant) -> None:
    canonical = canonical_timestamp(instant.text)
    assert canonical_timestamp(canonical) == canonical


@given(instants(), st.integers(-(24 * 60 - 1), 24 * 60 - 1))
def test_equal_instants_are_equal_strings(instant: Instant, offset: int) -> None:
    local = (instant.utc + timedelta(minutes=offset)).isoformat()
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    elsewhere = f"{local}.{instant.nanoseconds}{zone}"
    assert canonical_timestamp(elsewhere) == canonical_timestamp(instant.text)


@given(one=instants(), other=instants(), same_second=st.booleans())
def test_without_the_z_order_as_text_is_order_in_time(
    *, one: Instant, other: Instant, same_second: bool
) -> None:
    if same_second:
        other = Instant("", one.utc, other.nanoseconds)
    in_time = (one.utc, one.nanoseconds) < (other.utc, other.nanoseconds)
    assert (one.canonical[:-1] < other.canonical[:-1]) == in_time


@given(instants())
def test_the_short_cut_for_canonical_timestamps_changes_nothing(instant: Instant) -> None:
    for text in (instant.text, instant.canonical):
        assert stored(text) == canonical_timestamp(text)


_DIGITS = st.sampled_from(
    ["", ".0", ".000", ".5", ".539", ".530000", ".539001", ".100000000", ".539001000"]
)
_SECONDS = st.sampled_from(["00", "06", "16", "59", "60"])


@given(_SECONDS, _DIGITS, st.sampled_from(["Z", "z", "+00:00", "-00:00"]), st.sampled_from("Tt"))
def test_the_short_cut_agrees_also_near_the_canonical_form(
    second: str, digits: str, zone: str, t: str
) -> None:
    text = f"2016-12-31{t}23:59:{second}{digits}{zone}"
    assert stored(text) == canonical_timestamp(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2020-11-12T12:18:01.539Z", "2020-11-12T12:18:01.539Z"),
        ("2020-11-12t12:18:01z", "2020-11-12T12:18:01.000Z"),
        ("2020-11-12T12:18:01-00:00", "2020-11-12T12:18:01.000Z"),
        ("2020-11-12T12:18:01.1234567891234Z", "2020-11-12T12:18:01.123456789Z"),
        ("2020-11-12T12:18:01.0000000009Z", "2020-11-12T12:18:01.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500Z"),
        ("2017-01-01T08:59:60+09:00", "2017-01-01T00:00:00.000Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"),
        ("0000-02-29T23:30:00-01:00", "0000-03-01T00:30:00.000Z"),
        ("0001-01-01T00:00:00+00:01", "0000-12-31T23:59:00.000Z"),
        ("0400-01-01T00:30:00+01:00", "0399-12-31T23:30:00.000Z"),
        ("0399-12-31T23:30:00-01:00", "0400-01-01T00:30:00.000Z"),
        ("1900-02-28T23:59:60Z", "1900-03-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_canonical_form_by_example(text: str, canonical: str) -> None:
    assert canonical_timestamp(text) == stored(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2020-11-12",
        "2020-11-12T12:18:01",
        "2020-11-12 12:18:01Z",
        "2020-11-12T12:18:01.Z",
        "2020-11-12T12:18:01,5Z",
        "2020-11-12T12:18:01+0000",
        "2020-11-12T12:18:01Z\n",
        "2020-02-30T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2020-11-12T24:00:00Z",
        "2020-11-12T12:00:61Z",
        "\uff12020-11-12T12:18:01Z",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_neither_the_parser_nor_the_canonical_form_takes_what_is_no_date_time(text: str) -> None:
    assert not is_accepted(text)
    with pytest.raises(ValueError, match=r".+"):
        canonical_timestamp(text)


@given(instants())
def test_the_parser_accepts_every_date_time(instant: Instant) -> None:
    assert is_accepted(instant.text)


_NEAR = st.sampled_from(
    [
        "2020-11-12T12:18:01.539Z",
        "2020-11-12T12:18:01+01:30",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00-23:59",
        "9999-12-31T23:59:59.9-00:00",
    ]
)


@given(_NEAR, st.integers(0, 24), st.text("0123456789+-:.,/TtZz \n\0\u0663", max_size=1))
def test_whatever_timestamp_the_parser_accepts_has_a_canonical_form(
    text: str, place: int, character: str
) -> None:
    text = text[:place] + character + text[place + 1 :]
    if is_accepted(text):
        assert CANONICAL.fullmatch(canonical_timestamp(text))


@pytest.mark.parametrize(
    "text",
    [
        "-001-11-12T12:00:00Z",
        "+020-11-12T12:00:00Z",
        "2020-0,-12T12:00:00Z",
        "2020-11-1/T12:00:00Z",
        "2020-11-12T1/:00:00Z",
        "2020-11-12T12:0.:00Z",
        "2020-11-12T12:00:0-Z",
        "2020-11-12T12:00:00+0.:00",
    ],
)
def test_a_character_next_to_the_digits_is_no_digit(text: str) -> None:
    assert not is_accepted(text)


@given(st.integers(0, 2**63 - 1))
def test_nanoseconds_become_the_canonical_form_cut_to_microseconds(nanoseconds: int) -> None:
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
    text = timestamp_from_ns(nanoseconds)
    assert text == canonical_timestamp(instant.isoformat())
    assert CANONICAL.fullmatch(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.000Z"),
        (1000, "1970-01-01T00:00:00.000001Z"),
        (1_605_183_481_539_000_999, "2020-11-12T12:18:01.539Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775Z"),
    ],
)
def test_timestamp_from_ns_by_example(nanoseconds: int, text: str) -> None:
    assert timestamp_from_ns(nanoseconds) == text
