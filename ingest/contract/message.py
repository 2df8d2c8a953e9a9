"""The message on the queue: a group of entries, as JSON, with a version. Compressed if it is large.

    {"version": 1, "id": "<24 hex digits>", "entries": [
        {"sequence": n, "requestId": "...", "resourceGroup": "...", "resource": {...}}]}

`sequence` orders updates: nanoseconds since 1970 that never repeat in one gateway and whose
microseconds are the time of receipt. `resource` is the client's own bytes, checked but not
re-encoded. A worker must read every version that was ever released: the queue may hold them.
Readers ignore fields they don't know, so adding one needs no new version. The entry of a request
that is traced also has a `traceparent` (W3C Trace Context).
"""

from typing import Any, NamedTuple

import jsonschema_rs
import orjson

from ingest.contract.compression import decompress
from ingest.contract.resource import EXECUTION_ID_PATTERN, MAX_STEP, RESOURCE_GROUP_PATTERN

VERSION = 1
MESSAGE_ID_BYTES = 12
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
        message = decode_message(body)
    except UndecodableMessageError:
        return []
    return [
        (message.id.hex(), entry["traceparent"])
        for entry in message.entries
        if isinstance(entry, dict) and isinstance(entry.get("traceparent"), str)
    ]


def encode_message(message_id: bytes, entries: list[bytes]) -> bytes:
    """Encode a message from its encoded entries."""
    head = b'{"version":%d,"id":"%b","entries":[' % (VERSION, message_id.hex().encode())
    return head + b",".join(entries) + b"]}"


def decode_message(body: bytes) -> Message:
    """Decode a message of any known version.

    Raises:
        UndecodableMessageError: not JSON, not a message, or of an unknown version.
    """
    try:
        message = orjson.loads(decompress(body))
    except orjson.JSONDecodeError as error:
        raise UndecodableMessageError(f"not JSON: {error}") from error
    except ValueError as error:
        raise UndecodableMessageError(str(error)) from error
    if not isinstance(message, dict) or "version" not in message:
        raise UndecodableMessageError("not a message: it has no version")
    version = message["version"]
    if version.__class__ is not int:
        raise UndecodableMessageError("not a message: its version is no integer")
    if version != VERSION:
        raise UndecodableMessageError(f"unknown message version {version}")
    try:
        message_id = bytes.fromhex(message["id"])
        entries = message["entries"]
    except (KeyError, TypeError, ValueError) as error:
        raise UndecodableMessageError(f"not a message: {error!r}") from error
    if len(message_id) != MESSAGE_ID_BYTES or not isinstance(entries, list):
        raise UndecodableMessageError("not a message: its id or its entries are malformed")
    return Message(message_id, entries)


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
