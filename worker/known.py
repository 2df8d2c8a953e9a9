"""Which resources are known to be stored: most updates add to one that is, and skip its upsert."""

from collections import OrderedDict
from collections.abc import Mapping

# The keys take some 20 MB then. Of those that are forgotten, the next update is an upsert again.
_MAX_KEYS = 100_000


class KnownResources:
    """Remember the stored resources, with a sequence that their createdAt does not exceed.

    That is all an upsert would see to: createdAt only ever falls, and no resource is removed from
    the database, also when it is deleted (see documents.py).
    """

    def __init__(self, max_keys: int = _MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._created: OrderedDict[str, int] = OrderedDict()

    def unknown(self, created: Mapping[str, int]) -> dict[str, int]:
        """Return those of the resources, by key, that are not known to exist as early as that."""
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
