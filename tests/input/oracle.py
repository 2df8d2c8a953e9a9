"""The rules of a MetricResource, written a second time: no schema, no validator, no orjson.

Source: the contract's own table ("Store Metric Data" and what was decided where that page is
silent). Nothing here may be taken from `ingest.contract`: the two must be able to disagree.
"""

import json
import string
from collections.abc import Iterator
from typing import Any

MAX_METRICS, MAX_LABELS, MAX_TAGS, MAX_CUSTOM_INFO = 1000, 20, 100, 100
MAX_CHARS = 256
MAX_STEP = 9_223_372_036_854_775_807
MAX_CUSTOM_INFO_BYTES = 5 * 1024 * 1024

_WORD = set(string.ascii_letters + string.digits + "_-")
_FIELDS = {"executionId", "metrics", "tags", "customInfo", "createdAt", "modifiedAt"}
_METRIC_FIELDS = {"name", "value", "timestamp", "step", "labels"}
_DIGITS = set(string.digits)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class NotJsonError(ValueError):
    """The bytes are not JSON as RFC 8259 has it, or hold a number that no double can be."""


def loads(body: bytes) -> Any:
    """Parse JSON by the standard library, without what it takes beyond the standard."""
    try:
        value = json.loads(
            body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, parse_int=_int
        )
        # A lone surrogate can be written as an escape; UTF-8 cannot hold it.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise NotJsonError(str(error)) from error
    return value


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


def _int(text: str) -> int | float:
    # Beyond 64 bits a number is a double.
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        return _finite(text)
    return int(text)


def is_too_large(resource: Any) -> bool:
    """Tell whether customInfo is over its 5 MiB, whatever else is wrong."""
    if not isinstance(resource, dict):
        return False
    compact = json.dumps(resource.get("customInfo"), ensure_ascii=False, separators=(",", ":"))
    return len(compact.encode()) > MAX_CUSTOM_INFO_BYTES


def wrong_places(resource: Any, max_value_chars: int = MAX_CHARS) -> set[str]:
    """Return the JSON pointers of everything that breaks a rule.

    What is missing or unknown is reported at the object that lacks or has it, a list that is too
    long as a whole; the items beyond its limit are not looked at.
    """
    return set(_resource(resource, max_value_chars))


def _resource(resource: Any, max_value_chars: int) -> Iterator[str]:
    if not isinstance(resource, dict):
        yield ""
        return
    if "executionId" not in resource or resource.keys() - _FIELDS:
        yield ""
    if "executionId" in resource and not is_execution_id(resource["executionId"]):
        yield "/executionId"
    for field in ("createdAt", "modifiedAt"):
        if isinstance(resource.get(field), dict | list):
            yield f"/{field}"
    yield from _list(resource, "metrics", "", MAX_METRICS, _metric)
    yield from _list(resource, "tags", "", MAX_TAGS, _pair)
    yield from _list(
        resource,
        "customInfo",
        "",
        MAX_CUSTOM_INFO,
        lambda item, place: _pair(item, place, max_value_chars),
    )


def is_execution_id(value: Any) -> bool:
    """Tell whether a value is an execution id."""
    return isinstance(value, str) and 4 <= len(value) <= 64 and set(value) <= _WORD | {"."}


def _list(owner: dict[str, Any], field: str, place: str, limit: int, rule: Any) -> Iterator[str]:
    if field not in owner:
        return
    items = owner[field]
    if not isinstance(items, list) or len(items) > limit:
        yield f"{place}/{field}"
    if isinstance(items, list):
        for number, item in enumerate(items[:limit]):
            yield from rule(item, f"{place}/{field}/{number}")


def _pair(item: Any, place: str, max_value_chars: int = MAX_CHARS) -> Iterator[str]:
    if not isinstance(item, dict) or set(item) != {"name", "value"}:
        yield place
    if isinstance(item, dict):
        for field, limit in (("name", MAX_CHARS), ("value", max_value_chars)):
            text = item.get(field, "x")
            if not isinstance(text, str) or not 1 <= len(text) <= limit:
                yield f"{place}/{field}"


def _metric(metric: Any, place: str) -> Iterator[str]:
    if not isinstance(metric, dict):
        yield place
        return
    if not {"name", "value"} <= metric.keys() or metric.keys() - _METRIC_FIELDS:
        yield place
    name = metric.get("name", "x")
    if not isinstance(name, str) or len(name) > MAX_CHARS or not set(name) & _WORD:
        yield f"{place}/name"
    value = metric.get("value", 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield f"{place}/value"
    if metric.get("timestamp") is not None and not is_timestamp(metric["timestamp"]):
        yield f"{place}/timestamp"
    step = metric.get("step")
    if step is not None and (
        isinstance(step, bool)
        or not isinstance(step, int | float)
        or step != int(step)
        or not 0 <= step <= MAX_STEP
    ):
        yield f"{place}/step"
    if metric.get("labels") is not None:
        yield from _list(metric, "labels", place, MAX_LABELS, _pair)


# --- Timestamps --------------------------------------------------------------------------------


def is_timestamp(value: Any) -> bool:
    """Tell whether a value is an RFC 3339 date-time that is taken."""
    if not isinstance(value, str):
        return False
    try:
        _, utc_minutes, second, local_day, offset = _parts(value)
    except ValueError:
        return False
    # On the first day of the year 0 an offset to the east is refused, on the last day of 9999 one
    # to the west: some of these instants lie outside in UTC.
    if local_day == _day_number(0, 1, 1) and offset is not None and offset[0] == "+":
        return False
    last = _day_number(9999, 12, 31)
    if local_day == last and (second == 60 or (offset is not None and offset[0] == "-")):
        return False
    return second < 60 or utc_minutes % 1440 == 23 * 60 + 59


def canonical(value: str) -> str:
    """Return a timestamp's canonical form: UTC, as few of 3, 6 or 9 digits as keep the value."""
    fraction, minutes, second, *_ = _parts(value)
    seconds = minutes * 60 + second
    digits = fraction[:9].rstrip("0")
    while len(digits) % 3 or not digits:
        digits += "0"
    year, month, day = _date(seconds // 86400)
    second_of_day = seconds % 86400
    hour, minute, second = second_of_day // 3600, second_of_day // 60 % 60, second_of_day % 60
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{digits}Z"


def _parts(text: str) -> tuple[str, int, int, int, str | None]:
    """Return fraction, minutes since the first day of the year 0 in UTC, second, day, offset."""
    shape = "dddd-dd-ddTdd:dd:dd"
    for expected, character in zip(shape, text.ljust(len(shape)), strict=False):
        if (expected == "d" and character not in _DIGITS) or (
            expected != "d" and character.upper() != expected
        ):
            raise ValueError(text)
    year, month, day, hour, minute, second = (
        int(text[start:end])
        for start, end in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19))
    )
    rest, fraction = text[19:], ""
    if rest.startswith("."):
        fraction = rest[1 : len(rest) - len(rest[1:].lstrip(string.digits))]
        rest = rest[1 + len(fraction) :]
        if not fraction:
            raise ValueError(text)
    offset = None if rest in ("Z", "z") else rest
    offset_minutes = 0 if offset is None else _offset_minutes(offset)
    days = _MONTH_DAYS[month - 1] if 1 <= month <= 12 else 0
    if not 1 <= day <= days + (month == 2 and _is_leap(year)):
        raise ValueError(text)
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(text)
    number = _day_number(year, month, day)
    return fraction, number * 1440 + hour * 60 + minute - offset_minutes, second, number, offset


def _offset_minutes(text: str) -> int:
    digits = text[1:3] + text[4:]
    if len(text) != 6 or text[0] not in "+-" or text[3] != ":" or not set(digits) <= _DIGITS:
        raise ValueError(text)
    hours, minutes = int(text[1:3]), int(text[4:])
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    return (hours * 60 + minutes) * (-1 if text[0] == "-" else 1)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _day_number(year: int, month: int, day: int) -> int:
    """Count the days since 0000-01-01, by the calendar alone."""
    days = year * 365 + (year + 3) // 4 - (year + 99) // 100 + (year + 399) // 400
    return days + sum(_MONTH_DAYS[: month - 1]) + (month > 2 and _is_leap(year)) + day - 1


def _date(number: int) -> tuple[int, int, int]:
    year = number // 366
    while _day_number(year + 1, 1, 1) <= number:
        year += 1
    month = 12
    while _day_number(year, month, 1) > number:
        month -= 1
    return year, month, number - _day_number(year, month, 1) + 1
