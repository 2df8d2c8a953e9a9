"""Where runs are cut into segments, as it was released: it must never change.

A message that an earlier release wrote in part is delivered again, maybe to a later one. What is
written of it is recognised by the segments' ids alone, so under each id must stand the same points.
`golden/segments.json` has of each segment its id, its number of points and its text's SHA-256.
"""

import hashlib
import json
from typing import Any

import orjson
import pytest

from ingest.contract.message import encode_entry, encode_message
from tests.contract.strategies import FIRST_SEQUENCE, MESSAGE_ID, Json
from tests.contract.test_golden import GOLDEN, MESSAGES, PRESENT, released
from worker.prepare import Unit, decode, prepare


def metrics(count: int, *, padding: int = 0, first: int = 0) -> list[Json]:
    labels = [{"name": f"label-{n}", "value": "é" * 100} for n in range(padding)]
    return [
        {"name": "loss", "value": n / 7, "step": n, "labels": labels}
        for n in range(first, first + count)
    ]


def message(*resources: Json) -> bytes:
    entries = [
        encode_entry(FIRST_SEQUENCE + 1000 * n, "request", "default", orjson.dumps(resource))
        for n, resource in enumerate(resources)
    ]
    return encode_message(MESSAGE_ID, entries)


CUT = {
    "too many bytes for a segment in one update": message(
        {"executionId": "run-0", "metrics": metrics(1000, padding=20)},
    ),
    "too many bytes in several updates": message(
        *({"executionId": "run-0", "metrics": metrics(150, padding=20)} for _ in range(7)),
    ),
    "too many points in several updates": message(
        *({"executionId": "run-0", "metrics": metrics(900, first=900 * n)} for n in range(5)),
    ),
    "other resources and updates without points between": message(
        *(
            {"executionId": f"run-{n % 3}", "metrics": metrics(n % 4 * 300, first=n)}
            for n in range(20)
        ),
    ),
}
ALL = CUT | {name: released(PRESENT, name) for name in MESSAGES}


def summary(body: bytes) -> Json:
    unit, dead_letters = decode(body)
    assert unit is not None
    assert not dead_letters
    return {"whole": segments_of(unit), "alone": [segments_of(one) for one in unit.alone()]}


def segments_of(unit: Unit) -> list[list[Any]]:
    writes = prepare([unit])
    return [
        [
            document["_id"].hex(),
            document["points"],
            hashlib.sha256(document["runs"].encode()).hexdigest(),
        ]
        for document in writes.last + writes.segments
    ]


@pytest.mark.parametrize("name", ALL)
def test_a_message_becomes_the_segments_that_it_became_before(name: str) -> None:
    expected = json.loads((GOLDEN / "segments.json").read_bytes())
    assert summary(ALL[name]) == expected[name]


@pytest.mark.parametrize("name", CUT)
def test_these_messages_are_cut_indeed(name: str) -> None:
    unit, _ = decode(CUT[name])
    assert unit is not None
    assert prepare([unit]).segments
