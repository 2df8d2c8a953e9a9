"""Which resources are known to be stored: most updates add to one that is, and skip its upsert."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

# The keys take some 20 MB then. Of those that are forgotten, the next update is an upsert again.
_MAX_KEYS = 100_000
# All are forgotten so often. Should somebody remove documents after all, by restoring a backup
# under a worker that runs, what is written later would else stay invisible as long as it runs.
_MAX_AGE_S = 600.0


class KnownResources:
    """Remember the stored resources, with a sequence that their createdAt does not exceed.

    That is all an upsert would see to: createdAt only ever falls, and no resource is removed from
    the database, also when it is deleted (see documents.py).
    """

    def __init__(
        self,
        max_keys: int = _MAX_KEYS,
        max_age_s: float = _MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_keys = max_keys
        self._max_age_s = max_age_s
        self._clock = clock
        self._created: OrderedDict[str, int] = OrderedDict()
        self._began = clock()

    def unknown(self, created: Mapping[str, int]) -> dict[str, int]:
        """Return those of the resources, by key, that are not known to exist as early as that."""
        if self._clock() - self._began > self._max_age_s:
            self._created.clear()
            self._began = self._clock()
        known = self._created
        return {
            key: sequence
            for key, sequence in created.items()
            if (stored := known.get(key)) is None or sequence < stored
        }

    def note(self, created: Mapping[str, int]) -> None:
        """Remember resources that are stored now; beyond the limit the oldest are forgotten."""
        for key, sequence in created.items():
            stored = self._created.get(key)
            if stored is None or sequence < stored:
                self._created[key] = sequence
        while len(self._created) > self._max_keys:
            self._created.popitem(last=False)
