"""Sequence numbers: which update is later is decided here, on receipt, and nowhere else."""

import random
import time
from collections.abc import Callable

# A sequence's microseconds are the time of receipt and must differ between two updates, since
# they become the timestamp of a point that has none. So numbers are one microsecond apart.
_STEP_NS = 1000


class SequenceSource:
    """Numbers that rise with every call, in this process whatever the clock does.

    A number is the wall clock in ns, but at least a microsecond more than the one before. Its
    last three digits are drawn once per process, so that two gateways do not use the same.
    Between gateways order is wall-clock order: keep their clocks synchronised.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._residue = random.randrange(_STEP_NS)  # noqa: S311 - needs no secrecy
        self._last = 0

    def next(self) -> int:
        """Return a number greater than all before."""
        now = self._clock_ns()
        now += self._residue - now % _STEP_NS
        self._last = max(self._last + _STEP_NS, now)
        return self._last
