"""The message on the queue: a group of entries, as JSON, with a version. Compressed if it is large.

    {"version": 1, "id": "<24 hex digits>", "lengths": [m, ...], "entries": [
        {"sequence": n, "requestId": "...", "resourceGroup": "...", "resource": {...}}, ...]}

`lengths` are those of the entries' own texts, in bytes; the entries follow each other with nothing
but a comma between, and are the last field. So they can be decoded one by one, each while all of it
is in the processor's cache: decoded at once, a message takes some megabytes. A message without
`lengths` is decoded at once; where they are wrong they are ignored, or the message is undecodable.
`sequence` orders updates: nanoseconds since 1970 that never repeat in one gateway and whose
microseconds are the time of receipt. `resource` is the client's own bytes, checked but not
re-encoded. A worker must read every version that was ever released: the queue may hold them.
Readers ignore fields they don't know, so adding one needs no new version. The entry of a request
that is traced also has a `traceparent` (W3C Trace Context).
"""

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import jsonschema_rs
import orjson

from ingest.contract.compression import decompress
from ingest.contract.resource import EXECUTION_ID_PATTERN, MAX_STEP, RESOURCE_GROUP_PATTERN

VERSION = 1
MESSAGE_ID_BYTES = 12
_ENTRIES = b',"entries":['
_COMMA = ord(",")
_END = b"]}"
# How many levels deeper a resource is nested in a message: message, entries, entry.
ENVELOPE_LEVELS = 3
CONTENT_TYPE = "application/json"  # also of those that are compressed: they say so themselves


class UndecodableMessageError(ValueError):
    """The bytes are not a message of a version that this release knows."""


class InvalidEntryError(ValueError):
    """An entry inside a message lacks what every entry has."""


class Entry(NamedTuple):
    """One update in its envelope. `resource` satisfies the MetricResource schema."""

    sequence: int
    request_id: str
    resource_group: str
    resource: dict[str, Any]

    @property
    def key(self) -> str:
        """The resource this entry belongs to."""
        return resource_key(self.resource_group, self.resource["executionId"])


class Message(NamedTuple):
    """A decoded message. Its entries are still as they came: see `decode_entry`."""

    id: bytes
    entries: list[Any]


def resource_key(resource_group: str, execution_id: str) -> str:
    """Name a resource. Neither part can hold a slash, so no two resources share a key."""
    return f"{resource_group}/{execution_id}"


def new_message_id(sequence: int, origin: bytes) -> bytes:
    """Return a message id: a sequence drawn for it, then 4 bytes that name the gateway.

    The sequence comes first so that ids grow with time: an index on them grows at its end.
    """
    return sequence.to_bytes(8, "big") + origin


def encode_entry(sequence: int, request_id: str, resource_group: str, resource: bytes) -> bytes:
    """Encode one entry. `resource` must be valid JSON: it is spliced in as it is."""
    return orjson.dumps(
        {
            "sequence": sequence,
            "requestId": request_id,
            "resourceGroup": resource_group,
            "resource": orjson.Fragment(resource),
        }
    )


def add_traceparent(entry: bytes, traceparent: str) -> bytes:
    """Add to an encoded entry where its trace goes on."""
    return b'{"traceparent":%b,%b' % (orjson.dumps(traceparent), entry[1:])


def traceparents(body: bytes) -> list[tuple[str, str]]:
    """Return the message's id with each `traceparent` in it; nothing if it makes no sense."""
    try:
        message_id, entries = read_message(body)
        return [
            (message_id.hex(), entry["traceparent"])
            for entry in entries
            if isinstance(entry, dict) and isinstance(entry.get("traceparent"), str)
        ]
    except UndecodableMessageError:
        return []


def encode_message(message_id: bytes, entries: list[bytes]) -> bytes:
    """Encode a message from its encoded entries."""
    lengths = ",".join(str(len(entry)) for entry in entries).encode()
    head = b'{"version":%d,"id":"%b","lengths":[%b]' % (
        VERSION,
        message_id.hex().encode(),
        lengths,
    )
    return b"%b%b%b%b" % (head, _ENTRIES, b",".join(entries), _END)


def decode_message(body: bytes) -> Message:
    """Decode a message of any known version.

    Raises:
        UndecodableMessageError: not JSON, not a message, or of an unknown version.
    """
    message_id, entries = read_message(body)
    return Message(message_id, list(entries))


def read_message(body: bytes) -> tuple[bytes, Iterator[Any]]:
    """Return a message's id, and its entries: each is decoded when it is asked for, if it can be.

    Raises:
        UndecodableMessageError: not JSON, not a message, or of an unknown version; the iterator
            raises it as well.
    """
    try:
        text = decompress(body)
    except ValueError as error:
        raise UndecodableMessageError(str(error)) from error
    if (cut := _cut(text)) is not None:
        head, texts = cut
        return _checked_id(head), map(_loads, texts)
    message = _loads(text)
    message_id = _checked_id(message)
    entries = message.get("entries")
    if not isinstance(entries, list):
        raise UndecodableMessageError("not a message: its entries are malformed")
    return message_id, iter(entries)


def _cut(text: bytes) -> tuple[Any, list[memoryview]] | None:
    """Cut a message that tells its entries' lengths: what stands before them, and their texts."""
    found = text.find(_ENTRIES)
    if found < 0:
        return None
    try:
        head = orjson.loads(text[:found] + b"}")
    except orjson.JSONDecodeError:
        return None
    lengths = head.get("lengths")
    if not lengths or not isinstance(lengths, list) or not all(map(_is_length, lengths)):
        return None
    view = memoryview(text)
    # Where each entry ends; the first one follows the bracket as the others follow a comma.
    ends = list(
        accumulate(lengths, lambda end, length: end + 1 + length, initial=found + len(_ENTRIES) - 1)
    )
    if text[ends[-1] :] != _END or any(text[end] != _COMMA for end in ends[1:-1]):
        return None
    return head, [view[before + 1 : end] for before, end in pairwise(ends)]


def _is_length(value: Any) -> bool:
    return value.__class__ is int and value > 0


def _loads(text: bytes | memoryview) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UndecodableMessageError(f"not JSON: {error}") from error


def _checked_id(message: Any) -> bytes:
    """Return a message's id, if it is a message of a version that is known."""
    if not isinstance(message, dict) or "version" not in message:
        raise UndecodableMessageError("not a message: it has no version")
    version = message["version"]
    if version.__class__ is not int:
        raise UndecodableMessageError("not a message: its version is no integer")
    if version != VERSION:
        raise UndecodableMessageError(f"unknown message version {version}")
    try:
        message_id = bytes.fromhex(message["id"])
    except (KeyError, TypeError, ValueError) as error:
        raise UndecodableMessageError(f"not a message: {error!r}") from error
    if len(message_id) != MESSAGE_ID_BYTES:
        raise UndecodableMessageError("not a message: its id is malformed")
    return message_id


def decode_entry(raw: Any) -> Entry:
    """Decode one entry of a message. Its resource then has the shape that merging relies on.

    Raises:
        InvalidEntryError: something is missing or of another type.
    """
    if not _ENTRY.is_valid(raw):
        error = next(_ENTRY.iter_errors(raw))
        place = "/".join(str(part) for part in error.instance_path)
        raise InvalidEntryError(f"not an entry: /{place}: {error.message}"[:500])
    if raw["sequence"].__class__ is not int:  # JSON Schema takes 1.0 for an integer
        raise InvalidEntryError("not an entry: /sequence: is not an integer")
    return Entry(raw["sequence"], raw["requestId"], raw["resourceGroup"], raw["resource"])


_NAME_VALUES = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
        "required": ["name", "value"],
    },
}
# The shape of a version 1 entry, without the limits that the gateway checks: those may change, and
# an update that was answered 204 must not be refused later.
_ENTRY = jsonschema_rs.Draft202012Validator(
    {
        "type": "object",
        "properties": {
            "sequence": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
            "requestId": {"type": "string"},
            "resourceGroup": {"type": "string", "pattern": RESOURCE_GROUP_PATTERN},
            "resource": {
                "type": "object",
                "properties": {
                    "executionId": {"type": "string", "pattern": EXECUTION_ID_PATTERN},
                    "metrics": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"},
                                "value": {"type": "number"},
                                "timestamp": {"type": ["string", "null"]},
                                "step": {
                                    "type": ["integer", "null"],
                                    "minimum": 0,
                                    "maximum": MAX_STEP,
                                },
                                "labels": {**_NAME_VALUES, "type": ["array", "null"]},
                            },
                            "required": ["name", "value"],
                        },
                    },
                    "tags": _NAME_VALUES,
                    "customInfo": _NAME_VALUES,
                },
                "required": ["executionId"],
            },
        },
        "required": ["sequence", "requestId", "resourceGroup", "resource"],
    }
)
