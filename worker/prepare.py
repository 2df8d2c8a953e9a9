"""Prepare a batch: decode its messages and merge their entries into writes. No I/O.

Entries are taken one by one, and of each is kept only what will be stored: decoded points take many
times their text, and are encoded fastest while they are still in the processor's cache. What cannot
be decoded becomes a dead letter; its neighbours don't notice.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

import orjson

from ingest.contract.documents import (
    CUSTOM_INFO,
    TAGS,
    Document,
    RunText,
    Upsert,
    run_texts,
    segments,
    value_upserts,
)
from ingest.contract.merge import Values, merge_values, values_of
from ingest.contract.message import (
    MESSAGE_ID_BYTES,
    InvalidEntryError,
    UndecodableMessageError,
    decode_entry,
    encode_message,
    read_message,
)
from ingest.contract.points import run_of

_NAMED_SECTIONS = (("tags", TAGS), ("customInfo", CUSTOM_INFO))

# What entries that no gateway would send raise when they are decoded or merged.
NONSENSE = (
    InvalidEntryError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What is published to the dead-letter queue: a message, and why it is there."""

    body: bytes
    reason: str
    detail: str
    resource_group: str = ""
    execution_id: str = ""


class Update(NamedTuple):
    """What one entry writes."""

    number: int
    """The entry's place in its message."""

    key: str
    sequence: int
    values: list[tuple[str, Values]]
    """Its tags and custom info, by collection."""

    texts: list[RunText]


@dataclass(frozen=True, slots=True)
class Unit:
    """Updates that are written together: those of a message, or one of them alone."""

    source: bytes
    message_id: bytes
    updates: list[Update]
    isolated: bool = False

    def alone(self) -> list["Unit"]:
        """Return each update as a unit of its own."""
        return [replace(self, updates=[one], isolated=True) for one in self.updates]

    def dead_letter(self, reason: str, detail: str) -> DeadLetter:
        """Return the dead letter of a unit of one update: its entry, as a message of its own.

        With the old id, a replay would look like what was applied of the old message already.
        """
        (update,) = self.updates
        resource_group, _, execution_id = update.key.partition("/")
        body = _message_of_one(self.source, update.number)
        return DeadLetter(body, reason, detail, resource_group, execution_id)


def _message_of_one(source: bytes, number: int) -> bytes:
    """Encode one entry of the message `source`, as it came, as a message of its own.

    What cannot be encoded again stays in its message: replaying the neighbours does no harm.
    """
    _, entries = read_message(source)
    try:
        entry = orjson.dumps(next(islice(entries, number, None)))
    except orjson.JSONEncodeError:
        return source
    return encode_message(secrets.token_bytes(MESSAGE_ID_BYTES), [entry])


@dataclass(slots=True)
class Writes:
    """Everything a batch writes. `last` is written when all else is stored."""

    created: dict[str, int] = field(default_factory=dict)
    """The resources, by key, with the lowest sequence of their updates."""

    upserts: dict[str, list[Upsert]] = field(default_factory=dict)
    segments: list[Document] = field(default_factory=list)
    last: list[Document] = field(default_factory=list)


def decode(body: bytes) -> tuple[Unit | None, list[DeadLetter]]:
    """Decode one message; what makes no sense becomes dead letters.

    There is no unit if nothing of the message can be decoded.
    """
    updates = []
    dead_letters = []
    try:
        message_id, entries = read_message(body)
        for number, raw in enumerate(entries):
            try:
                updates.append(_update(number, raw))
            except NONSENSE as error:
                detail = f"entry {number}: {type(error).__name__}: {error}"[:500]
                single = _message_of_one(body, number)
                dead_letters.append(DeadLetter(single, "invalid-entry", detail))
    except UndecodableMessageError as error:
        return None, [DeadLetter(body, "undecodable", str(error))]
    return Unit(body, message_id, updates), dead_letters


def _update(number: int, raw: Any) -> Update:
    entry = decode_entry(raw)
    sequence, resource = entry.sequence, entry.resource
    run = run_of(sequence, resource.get("metrics", ()))
    values = [
        (collection, values_of(sequence, items))
        for section, collection in _NAMED_SECTIONS
        if (items := resource.get(section))
    ]
    return Update(number, entry.key, sequence, values, run_texts(run))


def prepare(units: Iterable[Unit]) -> Writes:
    """Merge units into writes: one upsert per name, however many updates."""
    writes = Writes()
    created = writes.created
    named: dict[str, dict[str, Values]] = {TAGS: {}, CUSTOM_INFO: {}}
    for unit in units:
        texts: dict[str, tuple[int, list[RunText]]] = {}
        for number, key, sequence, values, of_update in unit.updates:
            texts.setdefault(key, (number, []))[1].extend(of_update)
            if sequence < created.setdefault(key, sequence):
                created[key] = sequence
            for collection, of_section in values:
                merge_values(named[collection].setdefault(key, {}), of_section)
        for key, (ordinal, of_resource) in texts.items():
            first, *others = segments(
                unit.message_id, ordinal, key, of_resource, isolated=unit.isolated
            )
            writes.last.append(first)
            writes.segments.extend(others)
    writes.upserts = {
        collection: [one for key, values in by_key.items() for one in value_upserts(key, values)]
        for collection, by_key in named.items()
    }
    return writes
