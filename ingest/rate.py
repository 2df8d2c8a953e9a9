"""Requests per second and resource group.

A token bucket for each group, as the generic cell rate algorithm: all that is kept of a group is
the time at which its bucket will be full again. A bucket that is full is like one never used, so
groups that were idle for a second are forgotten, and memory is bounded by what one second brings.
"""

import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest.budget import group_to_charge
from ingest.dispatch import Endpoint
from ingest.errors import Error, RequestError

_SECOND_NS = 1_000_000_000


class RateLimit:
    """Admit up to a number of requests per second and group, in bursts of one second's worth."""

    def __init__(
        self, requests_per_s: int, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Set the limit; 0 admits everything."""
        self._requests_per_s = requests_per_s
        self._interval_ns = _SECOND_NS // requests_per_s if requests_per_s else 0
        self._clock_ns = clock_ns
        # When the buckets of the groups will be full, by the second in which they were last used.
        self._full_at: dict[str, int] = {}
        self._full_at_before: dict[str, int] = {}
        self._turned_ns = clock_ns()

    def __len__(self) -> int:
        """Count the groups that are remembered."""
        return len(self._full_at) + len(self._full_at_before)

    def take(self, group: str) -> int:
        """Take a token; returns 0, or the nanoseconds until there is one: then none was taken."""
        interval_ns = self._interval_ns
        now = self._clock_ns()
        if now - self._turned_ns >= _SECOND_NS:
            self._turn(now)
        full_at = self._full_at.get(group)
        if full_at is None:
            full_at = self._full_at_before.get(group, now)
        full_at = max(full_at, now) + interval_ns
        wait_ns = full_at - now - _SECOND_NS
        if wait_ns > 0:
            return wait_ns
        self._full_at[group] = full_at
        return 0

    def guard(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint with the limit before it."""
        if not self._interval_ns:
            return endpoint

        async def guarded(request: BaseRequest, request_id: str) -> web.StreamResponse:
            self._check(request.headers.get("AI-Resource-Group"))
            return await endpoint(request, request_id)

        return guarded

    def _check(self, header: str | None) -> None:
        """Take a token for a request with this header AI-Resource-Group.

        Raises:
            RequestError: GROUP_LIMITED, to be sent again when there will be a token.
        """
        wait_ns = self.take(group_to_charge(header))
        if wait_ns:
            raise RequestError(
                Error.GROUP_LIMITED,
                [
                    (
                        f"at most {self._requests_per_s} requests per second are allowed; "
                        "put more into each"
                    )
                ],
                retry_after_s=-(-wait_ns // _SECOND_NS),
            )

    def _turn(self, now: int) -> None:
        """Forget the groups that were not used for a second: their buckets are full."""
        idle = now - self._turned_ns >= 2 * _SECOND_NS
        self._full_at_before = {} if idle else self._full_at
        self._full_at = {}
        self._turned_ns = now
