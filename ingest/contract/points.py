"""Points: their canonical form, their identity, their order, and how runs of them merge.

A *point* is one metric in the API's own shape with a canonical timestamp. A *run* is the points
of one update, in that update's order, with its sequence number. Merging runs is commutative,
associative and idempotent: of the points that share an identity the one with the higher
sequence stands, whatever came first, how often it came and how the runs were grouped.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from ingest.contract.timestamps import canonical_timestamp, timestamp_from_ns

Point = dict[str, Any]
# Where a point stands in an answer: (step or -1, canonical timestamp without its Z, name). The Z
# goes because "…01.5Z" sorts after "…01.539Z" as text, although it is earlier.
Key = tuple[int, str, str]

NO_STEP = -1
# The smallest key of all, for a run without points.
NO_KEY: Key = (NO_STEP, "", "")

# Timestamps that need no parsing (see timestamps.py), if they are valid at all.
_is_canonical = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]\.[0-9]{3}"
    r"(?:(?!000)[0-9]{3}|[0-9]{3}(?!000)[0-9]{3})?Z"
).fullmatch


class Run(NamedTuple):
    """The points of one update: canonical, no two of one identity."""

    sequence: int
    points: list[Point]
    first: Key


def run_of(sequence: int, metrics: Iterable[Point]) -> Run:
    """Make the run of one update. The metrics become its points: they are changed in place.

    `metrics` must satisfy the MetricResource schema. A metric without a timestamp gets the time of
    receipt, which is the sequence's. Of two metrics of one identity the later in the array stands.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the metrics break the schema.
    """
    points: list[Point] = []
    keys: list[Key] = []
    checked: str | None = None  # Metrics are logged together: most timestamps are the last one's.
    for point in metrics:
        timestamp = point.get("timestamp")
        step = point.get("step", NO_STEP)
        if (
            timestamp is None
            or (timestamp != checked and not _is_canonical(timestamp))
            or step.__class__ is not int
            or point.get("labels", ()) is None
        ):
            timestamp, step = _make_canonical(point, sequence)
        checked = timestamp
        points.append(point)
        keys.append((step, timestamp[:-1], point["name"]))
    if len(set(keys)) < len(keys):
        points = list({identity(point): point for point in points}.values())
    return Run(sequence, points, min(keys, default=NO_KEY))


def identity(point: Point) -> tuple[int, str, str, frozenset[tuple[str, str]]]:
    """Return what makes a point itself: step, timestamp, name, and its labels as a set."""
    return (
        point.get("step", NO_STEP),
        point["timestamp"],
        point["name"],
        frozenset((label["name"], label["value"]) for label in point.get("labels", ())),
    )


def _make_canonical(point: Point, sequence: int) -> tuple[str, int]:
    """Give a point a canonical timestamp; drop a null step and null labels.

    Returns the timestamp and the step, or NO_STEP.
    """
    timestamp = point.get("timestamp")
    point["timestamp"] = timestamp = (
        timestamp_from_ns(sequence) if timestamp is None else canonical_timestamp(timestamp)
    )
    if point.get("labels", ()) is None:
        del point["labels"]
    step = point.get("step")
    if step is None:
        point.pop("step", None)
        return timestamp, NO_STEP
    point["step"] = whole = int(step)  # JSON Schema calls 1.0 an integer
    if step != whole:
        raise ValueError(f"step is not an integer: {step!r}")
    return timestamp, whole


_Item = tuple[int, str, str, int, int, Point]


class PointMerger:
    """Merge runs into ordered points, holding back only what a later run may still change.

    Add the runs of many segments in the order of the segments' first keys. Before each segment,
    `take(first key)` yields what can no longer change; at the end, `take(None)` the rest. So
    only points of segments that overlap are held in memory, not the whole resource.
    """

    # Sorting is put off until it is worth it; doubling keeps the total cost n log n even when
    # every segment overlaps every other.
    SORT_AT_LEAST = 4096

    def __init__(self) -> None:
        self._items: list[_Item] = []
        self._sort_at = self.SORT_AT_LEAST
        self._added = 0

    def add(self, sequence: int, points: Iterable[Point]) -> None:
        """Take in the points of one run."""
        number = self._added
        for point in points:
            number += 1
            self._items.append(
                (
                    point.get("step", NO_STEP),
                    point["timestamp"][:-1],
                    point["name"],
                    sequence,
                    number,  # unique, so that two points are never compared
                    point,
                )
            )
        self._added = number

    def take(self, bound: tuple[int, str] | None) -> Iterator[Point]:
        """Yield, merged and in order, points whose key is below `bound`; None takes them all.

        May yield fewer than there are, so as not to sort often, but never one too many. They are
        taken by the call; merging them is left to the iteration.
        """
        items = self._items
        if bound is not None and len(items) < self._sort_at:
            return iter(())
        items.sort()
        end = len(items) if bound is None else bisect_left(items, bound)
        ready = items[:end]
        del items[:end]
        self._sort_at = max(self.SORT_AT_LEAST, 2 * len(items))
        return _merged(ready)


def _merged(items: list[_Item]) -> Iterator[Point]:
    """Merge sorted items: those of one key stand together, so identities are compared there."""
    start = 0
    count = len(items)
    while start < count:
        step, timestamp, name, *_ = items[start]
        end = start + 1
        while end < count and items[end][1] == timestamp and items[end][2] == name:
            if items[end][0] != step:
                break
            end += 1
        if end == start + 1:
            yield items[start][5]
        else:
            yield from _merged_by_identity(items[start:end])
        start = end


def _merged_by_identity(items: list[_Item]) -> Iterator[Point]:
    standing: dict[Any, tuple[int, bytes, Point]] = {}
    for *_, sequence, _number, point in items:
        # Equal sequences can only come from two gateways in one instant. The bytes decide, so
        # that every reader decides alike.
        candidate = (sequence, orjson.dumps(point), point)
        current = standing.setdefault(identity(point), candidate)
        if candidate[:2] > current[:2]:
            standing[identity(point)] = candidate
    for key in sorted(standing, key=lambda identity: sorted(identity[3])):
        yield standing[key][2]
