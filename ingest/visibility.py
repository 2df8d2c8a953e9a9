"""Which accepted updates may not be visible yet, so that a read can wait for them.

Read your own writes: a read that follows a 204 on the same gateway must show the update. The
segment an update will leave is known when its message is published, so a read looks for the
segments of its resources that this gateway has not yet seen, and waits until they are there.

What is remembered is a whole message at a time, since every update pays for that, and few reads
follow: a read looks through the messages, the more of them the less there is in each.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from ingest.contract.documents import segment_id
from ingest.contract.message import MESSAGE_ID_BYTES


class Accepted(NamedTuple):
    """What a message holds of one resource."""

    ordinal: int
    """The number of its first entry in the message."""

    sequence: int
    """The highest of its updates."""


class _Message(NamedTuple):
    accepted_at: float
    resources: dict[str, Accepted]


class Unseen:
    """Remember the segments of accepted updates until a read has seen them.

    Bounded: what is older than `max_age_s` or beyond `max_segments` or `max_messages` is
    forgotten, oldest messages first. A forgotten update is still stored; only a read no longer
    waits for it.
    """

    def __init__(
        self,
        max_age_s: float = 60.0,
        max_segments: int = 50_000,
        max_messages: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_age_s = max_age_s
        self._max_segments = max_segments
        self._max_messages = max_messages
        self._clock = clock
        # By id, the oldest first. Not a dict: finding its first item slows down as items are
        # removed.
        self._messages: OrderedDict[bytes, _Message] = OrderedDict()
        self._segments = 0

    def __len__(self) -> int:
        """Count the segments that are remembered."""
        return self._segments

    def add(self, message_id: bytes, resources: dict[str, Accepted]) -> None:
        """Remember a message on the queue, by the keys of its resources. Takes the dict over."""
        now = self._clock()
        self._messages[message_id] = _Message(now, resources)
        self._segments += len(resources)
        self._forget(now)

    def of(self, keys: Iterable[str]) -> dict[bytes, str]:
        """Return the segments of these resources that no read has seen yet, with their keys."""
        self._forget(self._clock())
        wanted = set(keys)
        return dict(self._found(lambda resources: wanted & resources.keys()))

    def of_group(self, resource_group: str) -> dict[bytes, str]:
        """Return the segments of a whole resource group that no read has seen yet."""
        self._forget(self._clock())
        prefix = resource_group + "/"
        return dict(
            self._found(lambda resources: [key for key in resources if key.startswith(prefix)])
        )

    def deleted(self, segments: Mapping[bytes, str], deletions: Mapping[str, int]) -> set[bytes]:
        """Return those that are forgotten or that a deletion (of a key, a sequence) hides."""
        hidden = set()
        for segment, key in segments.items():
            message = self._messages.get(segment[:MESSAGE_ID_BYTES])
            known = None if message is None else message.resources.get(key)
            if known is None or known.sequence <= deletions.get(key, -1):
                hidden.add(segment)
        return hidden

    def seen(self, segments: Mapping[bytes, str]) -> None:
        """Forget segments that a read has seen."""
        for segment, key in segments.items():
            message_id = segment[:MESSAGE_ID_BYTES]
            message = self._messages.get(message_id)
            if message is not None and message.resources.pop(key, None) is not None:
                self._segments -= 1
                if not message.resources:
                    del self._messages[message_id]

    def _found(
        self, matching: Callable[[dict[str, Accepted]], Iterable[str]]
    ) -> Iterator[tuple[bytes, str]]:
        for message_id, message in self._messages.items():
            for key in matching(message.resources):
                yield segment_id(message_id, message.resources[key].ordinal), key

    def _forget(self, now: float) -> None:
        while self._messages:
            oldest = next(iter(self._messages.values()))
            if (
                oldest.accepted_at >= now - self._max_age_s
                and self._segments <= self._max_segments
                and len(self._messages) <= self._max_messages
            ):
                return
            self._messages.popitem(last=False)
            self._segments -= len(oldest.resources)
