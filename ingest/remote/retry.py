"""When a request may be sent again, and how long to wait before."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ingest.runtime.backoff import backoff_s

# Nothing else invites a retry.
TRY_LATER = frozenset({429, 502, 503, 504})
_SHORTEST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0


class Patience:
    """The pauses between the attempts at one request, until the time for it is used up."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin: the time counts from now."""
        self._clock = clock
        self._ends = clock() + limit_s
        self._failures = 0

    def pause_s(self, wanted_s: float | None = None) -> float | None:
        """Return the pause before the next attempt, None if that would come too late.

        `wanted_s` is what the answer asks for: the pause is never shorter.
        """
        pause_s = max(
            wanted_s or 0.0, backoff_s(self._failures, _SHORTEST_PAUSE_S, _LONGEST_PAUSE_S)
        )
        self._failures += 1
        return pause_s if self._clock() + pause_s <= self._ends else None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer's Retry-After asks for, None if it says nothing of use.

    It holds seconds or a date (RFC 9110, section 10.2.3). A date is compared with the answer's
    own, since the clocks may differ.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    until = _date(text)
    if until is None:
        return None
    now = _date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for a time zone beyond all bounds
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
