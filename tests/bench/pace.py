"""Find and hold the highest rate at which the queue does not grow.

The load is paced, and its rate follows what is stored: a little more than that while few updates
wait, a little less while many do. So the pipeline is always busy, the number of updates that wait
stays about the same, and what is stored per second is what can be accepted for ever. A load that
simply saturates the gateway would take the cores that the worker needs: what it then stores in all,
backlog included, is another figure, of larger messages than any steady state has.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tests.bench.load import Load, LoadResult

# A look costs a worker a millisecond: it shows all of its metrics.
POLL_S = 0.2
FIRST_RATE = 300.0
# The rate of what is stored is taken over so much time at least, and so many batches, if they come
# within the longer time.
_WINDOW_S = 0.5
_LONGEST_WINDOW_S = 3.0
_BATCHES = 4
# What waits in the steady state: some updates, and some seconds' work. A difference from that is
# made up for in so much time.
_WAITING = 256
_WAITING_S = 0.4
_CORRECTION_S = 0.7
_LEAST_RATE = 10.0


class Pace:
    """The rate that follows what is stored."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def next(self, now: float, stored: int, sent: int) -> float:
        """Take in how much was stored and sent by now; return the rate to go on with."""
        self._seen.append((now, stored))
        rate = self._rate()
        wanted = _WAITING + _WAITING_S * rate
        return max(_LEAST_RATE, rate + (wanted - (sent - stored)) / _CORRECTION_S)

    def _rate(self) -> float:
        """Return what is stored per second."""
        seen = self._seen
        now, stored = seen[-1]
        while seen[0][0] < now - _LONGEST_WINDOW_S:
            seen.popleft()
        batches = 0
        for (at, count), (_, earlier) in pairwise(reversed(seen)):
            if at <= now - _WINDOW_S and batches >= _BATCHES:
                return (stored - count) / (now - at)
            batches += count != earlier
        at, count = seen[0]
        return (stored - count) / (now - at) if at < now else 0.0


@dataclass(frozen=True, slots=True)
class Steady:
    """What a paced load came to."""

    rate: float
    """Updates stored per second; those sent per second, if more were stored than sent."""
    growth: float
    """By how much the number of waiting updates grew meanwhile, as a share of what was stored."""
    load: LoadResult


def hold(load: Load, stored: Callable[[], int], warm_up_s: float) -> Steady:
    """Pace a load until it ends; what comes after the warm-up, a part of it, is measured."""
    clock = time.monotonic
    begin = stored()
    pace = Pace()
    load.start(FIRST_RATE)
    measured_from = clock() + warm_up_s
    first = last = (clock(), 0, 0)
    while load.running:
        time.sleep(POLL_S)
        last = (clock(), stored() - begin, load.sent)
        if last[0] < measured_from:
            first = last
        load.pace(pace.next(*last))
    result = load.finish()
    done = last[1] - first[1]
    grown = (last[2] - last[1]) - (first[2] - first[1])
    rate = (done + min(grown, 0)) / (last[0] - first[0])
    return Steady(rate, grown / max(done, 1), result)
