"""How long to wait before trying again."""

import random

_MAX_DOUBLINGS = 10


def backoff_s(failures: int, shortest_s: float, longest_s: float) -> float:
    """Return a pause that doubles with each failure in a row, up to the longest; with jitter."""
    pause: float = min(longest_s, shortest_s * 2.0 ** min(failures, _MAX_DOUBLINGS))
    return pause * random.uniform(0.5, 1)  # noqa: S311 - needs no secrecy
