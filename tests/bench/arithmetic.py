"""The arithmetic of the figures."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Return the ratio of each round: what was measured close together is compared.

    Raises:
        ValueError: the rounds do not pair.
    """
    return [one / other for one, other in zip(numerators, denominators, strict=True)]


def spread(values: Sequence[float]) -> float:
    """Return by how much the values differ: their range as a share of the median."""
    middle = median(values)
    return (max(values) - min(values)) / abs(middle) if middle else 0.0


def pieces(items: Sequence[object], count: int) -> list[slice]:
    """Cut a sequence into so many pieces of nearly the same length; none is empty."""
    count = max(1, min(count, len(items)))
    bounds = [len(items) * number // count for number in range(count + 1)]
    return [slice(begin, end) for begin, end in pairwise(bounds)]
