"""Points: their canonical form, their identity, their order, and how runs of them merge.

A *point* is one metric in the API's own shape with a canonical timestamp. A *run* is the points
of one update, in that update's order, with its sequence number. Merging runs is commutative,
associative and idempotent: of the points that share an identity the one with the higher
sequence stands, whatever came first, how often it came and how the runs were grouped.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from ingest.contract.timestamps import canonical_timestamp

Point = dict[str, Any]
# Where a point stands in an answer: (step or -1, canonical timestamp without its Z, name). The Z
# goes because "…01.5Z" sorts after "…01.539Z" as text, although it is earlier.
Key = tuple[int, str, str]

NO_STEP = -1
# The smallest key of all, for a run without points.
NO_KEY: Key = (NO_STEP, "", "")

_CANONICAL_LENGTHS = {24: None, 27: "000", 30: "000"}
_DATE_T = 10
_SECONDS_TENS = 17


@dataclass(frozen=True, slots=True)
class Run:
    """The points of one update: canonical, no two of one identity."""

    sequence: int
    points: list[Point]
    first: Key


def run_of(sequence: int, metrics: Iterable[Point], received_at: str) -> Run:
    """Make the run of one update. The metrics become its points: they are changed in place.

    `metrics` must satisfy the MetricResource schema. A metric without a timestamp gets
    `received_at`. Of two metrics of one identity the later in the array stands.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the metrics break the schema.
    """
    points: list[Point] = []
    keys: list[Key] = []
    for point in metrics:
        timestamp = point.get("timestamp")
        if timestamp is None:
            point["timestamp"] = timestamp = received_at
        elif not _is_canonical(timestamp):
            point["timestamp"] = timestamp = canonical_timestamp(timestamp)
        step = point.get("step", NO_STEP)
        if step.__class__ is not int:
            step = _canonical_step(point)
        if point.get("labels", ()) is None:
            del point["labels"]
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


def _is_canonical(timestamp: str) -> bool:
    """Tell whether a valid RFC 3339 date-time is canonical as it stands, without parsing it."""
    length = len(timestamp)
    return (
        length in _CANONICAL_LENGTHS
        and timestamp[-1] == "Z"
        and timestamp[_DATE_T] == "T"
        and timestamp[_SECONDS_TENS] != "6"
        and timestamp[-4:-1] != _CANONICAL_LENGTHS[length]
    )


def _canonical_step(point: Point) -> int:
    """Drop a null step, and make an integer of 1.0, which JSON Schema calls one."""
    step = point["step"]
    if step is None:
        del point["step"]
        return NO_STEP
    if step != int(step):
        raise ValueError(f"step is not an integer: {step!r}")
    point["step"] = int(step)
    return int(step)


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
