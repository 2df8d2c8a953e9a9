"""Prepare a batch: decode its messages and merge their entries into writes. No I/O.

What cannot be decoded becomes a dead letter; its neighbours don't notice.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from ingest.contract.documents import (
    CUSTOM_INFO,
    TAGS,
    Document,
    Upsert,
    segments,
    value_upserts,
)
from ingest.contract.merge import Values, merge_values, values_of
from ingest.contract.message import (
    MESSAGE_ID_BYTES,
    Entry,
    InvalidEntryError,
    UndecodableMessageError,
    decode_entry,
    decode_message,
    encode_message,
)
from ingest.contract.points import Run, run_of

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


@dataclass(frozen=True, slots=True)
class Unit:
    """Entries that are written together: a message, or one entry of it alone."""

    source: bytes
    message_id: bytes
    entries: list[tuple[int, Entry, Run]]
    isolated: bool = False

    def alone(self) -> list["Unit"]:
        """Return each entry as a unit of its own."""
        return [replace(self, entries=[one], isolated=True) for one in self.entries]

    def dead_letter(self, reason: str, detail: str) -> DeadLetter:
        """Return the dead letter of a unit of one entry, as a message with an id of its own.

        With the old id, a replay would look like what was applied of the old message already.
        """
        ((_, entry, _),) = self.entries
        body = _message_of_one(
            self.source,
            {
                "sequence": entry.sequence,
                "requestId": entry.request_id,
                "resourceGroup": entry.resource_group,
                "resource": entry.resource,
            },
        )
        execution_id = entry.resource["executionId"]
        return DeadLetter(body, reason, detail, entry.resource_group, execution_id)


def _message_of_one(source: bytes, raw: Any) -> bytes:
    """Encode one entry of the message `source`, as it was decoded, as a message of its own.

    What cannot be encoded again stays in its message: replaying the neighbours does no harm.
    """
    try:
        entry = orjson.dumps(raw)
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
    try:
        message = decode_message(body)
    except UndecodableMessageError as error:
        return None, [DeadLetter(body, "undecodable", str(error))]
    entries = []
    dead_letters = []
    for number, raw in enumerate(message.entries):
        try:
            entry = decode_entry(raw)
            run = run_of(entry.sequence, entry.resource.get("metrics", ()))
        except NONSENSE as error:
            detail = f"entry {number}: {type(error).__name__}: {error}"[:500]
            single = _message_of_one(body, raw)
            dead_letters.append(DeadLetter(single, "invalid-entry", detail))
        else:
            entries.append((number, entry, run))
    return Unit(body, message.id, entries), dead_letters


def prepare(units: Iterable[Unit]) -> Writes:
    """Merge units into writes: one upsert per name, however many entries."""
    writes = Writes()
    created = writes.created
    named: dict[str, dict[str, Values]] = {TAGS: {}, CUSTOM_INFO: {}}
    for unit in units:
        runs: dict[str, tuple[int, list[Run]]] = {}
        for number, entry, run in unit.entries:
            key = entry.key
            sequence = entry.sequence
            runs.setdefault(key, (number, []))[1].append(run)
            if sequence < created.setdefault(key, sequence):
                created[key] = sequence
            for section, collection in _NAMED_SECTIONS:
                if items := entry.resource.get(section):
                    values = named[collection].setdefault(key, {})
                    merge_values(values, values_of(sequence, items))
        for key, (ordinal, of_resource) in runs.items():
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
