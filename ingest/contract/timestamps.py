"""RFC 3339 timestamps in one canonical form, so that equal instants are equal strings.

Canonical: UTC, `YYYY-MM-DDTHH:MM:SS.fffZ` with 3, 6 or 9 fractional digits, as few as keep the
value. Fewer than 3 would gain nothing; more than 6 break SAP's Python client, so 9 appear only
where the client sent that many. Digits beyond the ninth are dropped.
"""

import re
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The Gregorian calendar repeats every 400 years. datetime starts at year 1 but RFC 3339 at 0,
# so early years are calculated 400 years later.
_SHIFT_YEARS = 400


def canonical_timestamp(text: str) -> str:
    """Return the canonical form of an RFC 3339 date-time.

    A leap second (`:60`) becomes the first instant of the next minute, as in POSIX time.

    Raises:
        ValueError: not an RFC 3339 date-time, or outside the years 0000 to 9999 in UTC.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 date-time: {text[:40]!r}")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    shift = _SHIFT_YEARS if year < _SHIFT_YEARS else 0
    leap = 1 if second == 60 else 0  # noqa: PLR2004 - RFC 3339's own number
    offset = timedelta(hours=int(match[9] or 0), minutes=int(match[10] or 0))
    try:
        instant = datetime(year + shift, month, day, hour, minute, second - leap, tzinfo=UTC)
        instant += timedelta(seconds=leap)
        instant += -offset if match[8] == "+" else offset
    except OverflowError as error:
        raise ValueError(f"outside the years 0000 to 9999 in UTC: {text[:40]!r}") from error
    if instant.year < shift:  # before the year 0
        raise ValueError(f"outside the years 0000 to 9999 in UTC: {text[:40]!r}")
    seconds = instant.strftime("-%m-%dT%H:%M:%S")
    return f"{instant.year - shift:04}{seconds}.{_fraction(match[7] or '')}Z"


def timestamp_from_ns(nanoseconds: int) -> str:
    """Return the canonical form of an instant given in ns since 1970, cut to microseconds."""
    instant = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{_fraction(f'{instant.microsecond:06}')}Z"


def _fraction(digits: str) -> str:
    digits = digits[:9].rstrip("0")
    return digits.ljust(-(-max(len(digits), 1) // 3) * 3, "0")
