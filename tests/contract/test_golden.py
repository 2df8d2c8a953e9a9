"""Messages of version 1 as they were released: the queue may hold them, so they stay readable.

Never change a file in `golden`. A new version of the message gets new files, and so did `lengths`:
before, version 1 had none.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.contract.message import (
    Entry,
    decode_entry,
    decode_message,
    encode_entry,
    encode_message,
)
from tests.harness.client import EXAMPLE
from worker.prepare import decode

GOLDEN = Path(__file__).parent / "golden"

NAMES = '\0$.é\u3042\U0001f600"\\/\u2028'
# name -> (message id, entries)
MESSAGES: dict[str, tuple[bytes, list[Entry]]] = {
    "example": (
        bytes.fromhex("17979cfe362a2345a1b2c3d4"),
        [Entry(1_700_000_000_000_000_837, "9832bf934f3743v3948v3", "default", EXAMPLE)],
    ),
    "two-resources": (
        bytes.fromhex("17979cfe362a0000a1b2c3d4"),
        [
            Entry(1_700_000_000_000_000_000, "one", "default", {"executionId": "run.1"}),
            Entry(
                1_700_000_000_000_001_000,
                "two",
                "other-group",
                {
                    "executionId": "run.1",
                    "metrics": [{"name": "loss", "value": 0.5, "timestamp": None, "step": 1}],
                },
            ),
            Entry(
                1_700_000_000_000_002_000,
                "three",
                "default",
                {"executionId": "run.1", "tags": [{"name": "stage", "value": "test"}]},
            ),
        ],
    ),
    "no-entries": (bytes(12), []),
    "unicode-and-numbers": (
        bytes.fromhex("ffffffffffffffffffffffff"),
        [
            Entry(
                2**63 - 1,
                "request",
                "a.b-c",
                {
                    "executionId": "..--",
                    "metrics": [
                        {"name": "a" + NAMES, "value": 2**63},
                        {"name": "a", "value": 2**64 - 1, "step": 2**63 - 1},
                        {"name": "b", "value": 1e-320},
                        {"name": "c", "value": -0.0},
                        {"name": "d", "value": 1.7976931348623157e308},
                        {"name": "e", "value": -(2**63), "step": 1.0},
                    ],
                    "tags": [{"name": NAMES, "value": NAMES}, {"name": "$set", "value": "a.b"}],
                    "customInfo": [{"name": "_id", "value": '{"$where": "1"}'}],
                    "createdAt": "2020-11-12T12:18:01.539Z",
                },
            )
        ],
    ),
}
PRESENT = "message-v1-lengths"
FORMATS = ("message-v1", PRESENT)
ALL = pytest.mark.parametrize("name", MESSAGES)
ALL_OF_ALL_FORMATS = pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in FORMATS for name in MESSAGES]
)


def released(kind: str, name: str) -> bytes:
    return (GOLDEN / f"{kind}-{name}.json").read_bytes()


def encoded(entry: Entry) -> bytes:
    body = json.dumps(entry.resource, ensure_ascii=False, separators=(",", ":")).encode()
    return encode_entry(entry.sequence, entry.request_id, entry.resource_group, body)


def exact(value: Any) -> str:
    """Tell 1 from 1.0 and 0.0 from -0.0, which are equal in Python."""
    return repr(value)


@ALL_OF_ALL_FORMATS
def test_a_released_message_decodes_to_exactly_what_was_sent(kind: str, name: str) -> None:
    message_id, entries = MESSAGES[name]
    message = decode_message(released(kind, name))
    assert message.id == message_id
    assert exact([decode_entry(raw) for raw in message.entries]) == exact(entries)


@ALL
def test_encoding_the_same_again_gives_the_same_bytes(name: str) -> None:
    message_id, entries = MESSAGES[name]
    body = encode_message(message_id, [encoded(entry) for entry in entries])
    assert body == released(PRESENT, name)


@ALL
def test_a_release_that_knows_no_lengths_reads_the_same(name: str) -> None:
    ours = json.loads(released(PRESENT, name))
    del ours["lengths"]
    assert exact(ours) == exact(json.loads(released(FORMATS[0], name)))


@ALL_OF_ALL_FORMATS
def test_the_worker_finds_nothing_wrong_in_a_released_message(kind: str, name: str) -> None:
    unit, dead_letters = decode(released(kind, name))
    assert dead_letters == []
    assert unit is not None
    assert len(unit.updates) == len(MESSAGES[name][1])


def test_every_golden_file_is_tested() -> None:
    names = {f"{kind}-{name}.json" for kind in FORMATS for name in MESSAGES}
    assert {path.name for path in GOLDEN.glob("message-*")} == names
