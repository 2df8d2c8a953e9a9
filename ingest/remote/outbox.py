"""What `send` has read and not yet sent: updates in, request bodies out, meaning the same.

Consecutive updates of one execution become one body, as far as the limits of a body allow. What
may not change by that is what a later update does to an earlier one. So the updates of an
execution are sent one body after the other, in the order of the input, and only those of different
executions, which have nothing to do with each other, side by side. And a metric without a timestamp
gets the time at which its update was read: two of them in one body would else be the same point.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from ingest.contract.resource import MAX_CUSTOM_INFO, MAX_METRICS, MAX_TAGS
from ingest.contract.timestamps import timestamp_from_ns
from ingest.remote.updates import Update

_MAX_ITEMS = {"metrics": MAX_METRICS, "tags": MAX_TAGS, "customInfo": MAX_CUSTOM_INFO}
# What a gateway ignores; whatever else there is, it must see as it was sent.
_IGNORED = {"createdAt", "modifiedAt"}
_KNOWN = _MAX_ITEMS.keys() | _IGNORED | {"executionId"}
# Updates are not joined beyond this; a larger one has a body of its own. Many proxies take no more
# than a megabyte.
_MAX_JOINED_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What is sent as a whole: an update, or a part of one that no single body can hold."""

    update: Update
    key: str
    resource: Any
    bytes: int
    # Whether it can share a body: it has the shape of a MetricResource.
    joins: bool

    def count(self, section: str) -> int:
        """Count the items of a section."""
        return len(self.resource.get(section, ())) if self.joins else 0


@dataclass(frozen=True, slots=True)
class Body:
    """Pieces of one execution that are sent in one request."""

    pieces: list[Piece]

    def encode(self) -> bytes:
        """Return the body's JSON."""
        first, *others = self.pieces
        if not others:
            return orjson.dumps(first.resource)
        joined: dict[str, Any] = {"executionId": first.resource["executionId"]}
        for piece in self.pieces:
            for section in _MAX_ITEMS:
                if section in piece.resource:
                    joined.setdefault(section, []).extend(piece.resource[section])
        return orjson.dumps(joined)

    def halves(self) -> tuple["Body", "Body"]:
        """Return it as two, the first to be sent first."""
        middle = len(self.pieces) // 2
        return Body(self.pieces[:middle]), Body(self.pieces[middle:])


class Outbox:
    """Hold updates until they are sent."""

    def __init__(self) -> None:
        # Bytes of updates that are not in a body yet.
        self.waiting_bytes = 0
        self._waiting: dict[str, deque[Piece]] = {}
        # Executions of which something waits and nothing is on its way.
        self._ready: deque[str] = deque()
        self._sending: set[str] = set()
        self._latest_us = 0
        self._nameless = 0

    def put(self, update: Update) -> int:
        """Take an update in; returns the number of pieces it is sent in.

        Raises:
            orjson.JSONEncodeError: it is nested more deeply than JSON is written here; no gateway
                would take it.
        """
        _set_timestamps(update.resource, timestamp_from_ns(self._now_us() * 1000))
        pieces = list(self._pieces(update))
        for piece in pieces:
            self.waiting_bytes += piece.bytes
            if piece.key not in self._waiting:
                self._waiting[piece.key] = deque()
                if piece.key not in self._sending:
                    self._ready.append(piece.key)
            self._waiting[piece.key].append(piece)
        return len(pieces)

    def take(self) -> Body | None:
        """Return the next body to send, None if there is none now. Say `done` once it is sent."""
        if not self._ready:
            return None
        key = self._ready.popleft()
        waiting = self._waiting[key]
        pieces = [waiting.popleft()]
        room = {section: most - pieces[0].count(section) for section, most in _MAX_ITEMS.items()}
        room_bytes = _MAX_JOINED_BYTES - pieces[0].bytes
        while waiting and pieces[0].joins and waiting[0].joins:
            for section in room:
                room[section] -= waiting[0].count(section)
            room_bytes -= waiting[0].bytes
            if min(*room.values(), room_bytes) < 0:
                break
            pieces.append(waiting.popleft())
        if not waiting:
            del self._waiting[key]
        self._sending.add(key)
        self.waiting_bytes -= sum(piece.bytes for piece in pieces)
        return Body(pieces)

    def done(self, body: Body) -> None:
        """Let the next body of its execution follow."""
        key = body.pieces[0].key
        self._sending.discard(key)
        if key in self._waiting:
            self._ready.append(key)

    def is_empty(self) -> bool:
        """Tell whether nothing waits and nothing is on its way."""
        return not self._waiting and not self._sending

    def _pieces(self, update: Update) -> Iterator[Piece]:
        resource = update.resource
        size = len(orjson.dumps(resource))
        if not _has_shape(resource):
            key = resource.get("executionId") if isinstance(resource, dict) else None
            if not isinstance(key, str):  # of no execution: there is nothing to be in order with
                self._nameless += 1
                key = f"/{self._nameless}"
            yield Piece(update, key, resource, size, joins=False)
            return
        resource = {name: value for name, value in resource.items() if name not in _IGNORED}
        parts = list(_parts(resource))
        for part in parts:
            yield Piece(update, part["executionId"], part, size // len(parts), joins=True)

    def _now_us(self) -> int:
        """Return the time in microseconds since 1970, never the same twice."""
        self._latest_us = max(self._latest_us + 1, time.time_ns() // 1000)
        return self._latest_us


def _has_shape(resource: Any) -> bool:
    return (
        isinstance(resource, dict)
        and isinstance(resource.get("executionId"), str)
        and resource.keys() <= _KNOWN
        and all(isinstance(resource.get(section, []), list) for section in _MAX_ITEMS)
    )


def _parts(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what no body can hold in parts of which each is within the limits, in order."""
    sections = {section: resource[section] for section in _MAX_ITEMS if section in resource}
    start = dict.fromkeys(sections, 0)
    while True:
        part = {"executionId": resource["executionId"]}
        for section, items in sections.items():
            part[section] = items[start[section] : start[section] + _MAX_ITEMS[section]]
            start[section] += _MAX_ITEMS[section]
        yield part
        sections = {name: items for name, items in sections.items() if start[name] < len(items)}
        if not sections:
            return


def _set_timestamps(resource: Any, timestamp: str) -> None:
    """Give the metrics without a timestamp this one: then to send them again changes nothing."""
    metrics = resource.get("metrics") if isinstance(resource, dict) else None
    for metric in metrics if isinstance(metrics, list) else ():
        if isinstance(metric, dict) and metric.get("timestamp") is None:
            metric["timestamp"] = timestamp
