"""What becomes of small segments: which of them become one, and what it holds. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from ingest.contract.documents import SEGMENT_MAX_POINTS
from ingest.contract.merge import is_visible
from ingest.contract.message import new_message_id
from ingest.contract.points import Point, Run, identity, run_of


@dataclass(frozen=True, slots=True)
class Limits:
    """What compaction leaves alone; the defaults are for everything but tests."""

    full_bytes: int = 256 * 1024
    """A segment of this size, some thousand points, is full. A reader holds few at a time."""

    min_segments: int = 4
    """Fewer are not worth a transaction."""

    min_age_s: float = 120.0
    """A gateway waits for the segments of what it accepted in the last minute. So they stay for
    longer: a minute more is for clocks that differ and for confirms that are slow."""

    @property
    def small_bytes(self) -> int:
        """What is at least this large is left alone for ever."""
        return self.full_bytes // 2


class SmallSegment(NamedTuple):
    """A stored segment as the plan sees it; `size` is the bytes of its text."""

    id: bytes
    size: int
    points: int


class Plan:
    """Group small segments that come in the order of their keys: neighbours become one segment.

    The largest of a group stay out unless all others together are at least as large. So whenever
    a point is written again, its segment has at least twice the size of before: that happens some
    ten times at most, however long the run.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._group: list[SmallSegment] = []
        self._size = 0
        self._points = 0

    def add(self, segment: SmallSegment) -> list[bytes]:
        """Take in the next segment; return the ids of a group that is complete without it."""
        points = max(segment.points, 1)  # one without points is as much work
        full = (
            self._size + segment.size > self._limits.full_bytes
            or self._points + points > SEGMENT_MAX_POINTS
        )
        complete = self.rest() if full else []
        self._group.append(segment)
        self._size += segment.size
        self._points += points
        return complete

    def rest(self) -> list[bytes]:
        """Return the ids of the group that is being collected, and begin a new one."""
        group, size = sorted(self._group, key=lambda one: one.size), self._size
        self._group, self._size, self._points = [], 0, 0
        while group and size < 2 * group[-1].size:
            size -= group.pop().size
        return [one.id for one in group] if len(group) >= self._limits.min_segments else []


def merged_runs(runs: Iterable[tuple[int, list[Point]]], deleted: int | None) -> list[Run]:
    """Return what a reader still needs of some stored runs, ordered by sequence.

    What a deletion has hidden stays hidden, as deletions only move on; and a point that another
    one of these stands for is never shown again. A run without points stays: after a later
    deletion, it may be what the resource begins with.
    """
    points_of: dict[int, list[Point]] = {}
    standing: dict[object, tuple[int, bytes, Point]] = {}
    for sequence, points in runs:
        if not is_visible(sequence, deleted):
            continue
        points_of.setdefault(sequence, [])
        for point in points:
            candidate = (sequence, orjson.dumps(point), point)  # as readers compare them
            current = standing.setdefault(identity(point), candidate)
            if candidate[:2] > current[:2]:
                standing[identity(point)] = candidate
    for sequence, _, point in standing.values():
        points_of[sequence].append(point)
    return [run_of(sequence, points) for sequence, points in sorted(points_of.items())]


def ids_before(seconds: float) -> bytes:
    """Return a segment id that is higher than those of messages before an instant (since 1970).

    A message's id begins with its time (see message.new_message_id); so does what compaction
    makes, which is therefore not looked at again at once.
    """
    return new_message_id(max(0, int(seconds * 1e9)), b"\0\0\0\0") + b"\0\0\0\0"
