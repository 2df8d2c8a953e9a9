"""A group: the entries that become one message, and the requests that wait for its confirm."""

import asyncio

from ingest.contract.message import encode_message, new_message_id
from ingest.visibility import Accepted

# What a message adds at most to its entries, and to each of them: its length, and two commas.
_FRAME_BYTES = 96
_ENTRY_BYTES = 12


class Group:
    """Entries that are published together and share one fate."""

    def __init__(self, sequence: int, origin: bytes, deadline: float) -> None:
        self.id = new_message_id(sequence, origin)
        self.deadline = deadline
        self.bytes = _FRAME_BYTES
        self._entries: list[bytes] = []
        self.resources: dict[str, Accepted] = {}
        self._waiters: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, key: str, sequence: int, entry: bytes, waiter: asyncio.Future[None]) -> None:
        """Take an entry in: of the resource `key`, with the sequence of its update."""
        known = self.resources.get(key)
        if known is None:
            self.resources[key] = Accepted(len(self._entries), sequence)
        elif sequence > known.sequence:
            self.resources[key] = Accepted(known.ordinal, sequence)
        self._entries.append(entry)
        self._waiters.append(waiter)
        self.bytes += len(entry) + _ENTRY_BYTES

    def message(self) -> bytes:
        """Encode the group as a message."""
        return encode_message(self.id, self._entries)

    def confirm(self) -> None:
        """Tell every waiting request that its entry is safe."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tell every waiting request that nothing was promised."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
