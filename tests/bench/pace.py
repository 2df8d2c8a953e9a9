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

from tests.bench.load import Load, LoadResult

_POLL_S = 0.1
# The rate of what is stored is taken over so much time: batches come in lumps.
_WINDOW_S = 1.0
_FEWEST = 2
# What waits in the steady state: some updates, and some seconds' work. A difference from that is
# made up for in so much time.
_WAITING = 256
_WAITING_S = 0.5
_CORRECTION_S = 1.0
_FIRST_RATE = 300.0


@dataclass(frozen=True, slots=True)
class Steady:
    """What a paced load came to."""

    rate: float
    """Updates stored per second."""
    growth: float
    """By how much the number of waiting updates grew meanwhile, as a share of what was stored."""
    load: LoadResult


def hold(load: Load, stored: Callable[[], int], warm_up_s: float, first_rate: float) -> Steady:
    """Pace a load until it ends; what comes after the warm-up is measured."""
    clock = time.monotonic
    begin = stored()
    seen: deque[tuple[float, int]] = deque([(clock(), 0)])
    load.start(first_rate or _FIRST_RATE)
    measured_from = clock() + warm_up_s
    first: tuple[float, int, int] | None = None
    last = (clock(), 0, 0)
    while load.running:
        time.sleep(_POLL_S)
        last = (clock(), stored() - begin, load.sent)
        if first is None and last[0] >= measured_from:
            first = last
        seen.append(last[:2])
        while len(seen) > _FEWEST and seen[-1][0] - seen[0][0] > _WINDOW_S:
            seen.popleft()
        rate = (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])
        waiting = last[2] - last[1]
        wanted = rate + (_WAITING + _WAITING_S * rate - waiting) / _CORRECTION_S
        load.pace(max(wanted, _FIRST_RATE / 10))
    result = load.finish()
    if first is None:
        raise ValueError("the warm-up is longer than the load")
    done = last[1] - first[1]
    grown = (last[2] - last[1]) - (first[2] - first[1])
    return Steady(done / (last[0] - first[0]), grown / max(done, 1), result)
