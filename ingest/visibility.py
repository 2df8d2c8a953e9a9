"""Which accepted updates may not be visible yet, so that a read can wait for them.

Read your own writes: a read that follows a 204 on the same gateway must show the update. The
segment an update will leave is known when its message is published, so a read looks for the
segments of its resources that this gateway has not yet seen, and waits until they are there.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping


class Unseen:
    """Remember the segments of accepted updates until a read has seen them.

    Bounded: what is older than `max_age_s` or beyond `max_segments` is forgotten, oldest first.
    A forgotten update is still stored; only a read no longer waits for it.
    """

    def __init__(
        self,
        max_age_s: float = 60.0,
        max_segments: int = 50_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_age_s = max_age_s
        self._max_segments = max_segments
        self._clock = clock
        # The oldest first. Not a dict: finding its first item slows down as items are removed.
        self._segments: OrderedDict[bytes, tuple[float, str, int]] = OrderedDict()
        self._by_key: dict[str, set[bytes]] = {}

    def add(self, key: str, segment: bytes, sequence: int) -> None:
        """Remember that an accepted update of resource `key` will appear as `segment`."""
        now = self._clock()
        self._forget(now)
        # A group may have several updates of a resource, in one segment.
        added, _, known = self._segments.get(segment, (now, key, 0))
        self._segments[segment] = (added, key, max(known, sequence))
        self._by_key.setdefault(key, set()).add(segment)
        if len(self._segments) > self._max_segments:
            self._forget(now)

    def of(self, keys: Iterable[str]) -> set[bytes]:
        """Return the segments of these resources that no read has seen yet."""
        self._forget(self._clock())
        return set().union(*(self._by_key.get(key, ()) for key in keys))

    def of_group(self, resource_group: str) -> set[bytes]:
        """Return the segments of a whole resource group that no read has seen yet."""
        prefix = resource_group + "/"
        return self.of([key for key in self._by_key if key.startswith(prefix)])

    def keys(self, segments: Iterable[bytes]) -> set[str]:
        """Return the resources that these segments belong to."""
        return {self._segments[one][1] for one in segments if one in self._segments}

    def deleted(self, segments: Iterable[bytes], deletions: Mapping[str, int]) -> set[bytes]:
        """Return those that are forgotten or that a deletion (of a key, a sequence) hides."""
        return {
            segment
            for segment in segments
            if (known := self._segments.get(segment)) is None
            or known[2] <= deletions.get(known[1], -1)
        }

    def seen(self, segments: Iterable[bytes]) -> None:
        """Forget segments that a read has seen."""
        for segment in segments:
            known = self._segments.pop(segment, None)
            if known is not None:
                key = known[1]
                of_key = self._by_key[key]
                of_key.discard(segment)
                if not of_key:
                    del self._by_key[key]

    def _forget(self, now: float) -> None:
        while self._segments:
            segment, (added, *_) = next(iter(self._segments.items()))
            if added >= now - self._max_age_s and len(self._segments) <= self._max_segments:
                return
            self.seen((segment,))
