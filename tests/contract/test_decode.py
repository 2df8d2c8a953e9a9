"""Poison on the queue: it becomes dead letters, and its neighbours don't notice."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.message import decode_entry, decode_message, encode_entry, encode_message
from ingest.contract.parse import UpdateParser
from tests.contract.strategies import FIRST_SEQUENCE, MESSAGE_ID, RESOURCES, Json, Update, updates
from worker.prepare import decode

GOOD = Update(FIRST_SEQUENCE, "default", {"executionId": "good"})


def entry(**resource: Any) -> Json:
    return {
        "sequence": FIRST_SEQUENCE,
        "requestId": "request",
        "resourceGroup": "default",
        "resource": {"executionId": "poison", **resource},
    }


def point(**fields: Any) -> Json:
    return {"name": "loss", "value": 1, **fields}


POISON: dict[str, Any] = {
    "null": None,
    "number": 5,
    "text": "entry",
    "list": [],
    "empty": {},
    "sequence is a text": {**entry(), "sequence": "1"},
    "sequence is true": {**entry(), "sequence": True},
    "sequence beyond any date": {**entry(metrics=[point()]), "sequence": 10**30},
    "no group": {**entry(), "resourceGroup": None},
    "no request id": {k: v for k, v in entry().items() if k != "requestId"},
    "resource is a list": {**entry(), "resource": []},
    "resource is null": {**entry(), "resource": None},
    "no execution id": {**entry(), "resource": {}},
    "execution id is a number": {**entry(), "resource": {"executionId": 5}},
    "metrics is a number": entry(metrics=5),
    "metrics is null": entry(metrics=None),
    "metric is a text": entry(metrics=["loss"]),
    "metric without name": entry(metrics=[{"value": 1}]),
    "timestamp is no date": entry(metrics=[point(timestamp="yesterday")]),
    "timestamp is a number": entry(metrics=[point(timestamp=5)]),
    "timestamp before the year 0": entry(metrics=[point(timestamp="0000-01-01T00:00:00+01:00")]),
    "step is a text": entry(metrics=[point(step="x")]),
    "step is fractional": entry(metrics=[point(step=1.5)]),
    "labels of duplicates are numbers": entry(metrics=[point(labels=[5]), point(labels=[5])]),
    "tags is null": entry(tags=None),
    "tag without value": entry(tags=[{"name": "a"}]),
    "tag's name is a list": entry(tags=[{"name": [], "value": "a"}]),
    "timestamp is empty": entry(metrics=[point(timestamp="")]),
    "custom info is a text": entry(customInfo="ab"),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_a_poisoned_entry_becomes_a_dead_letter_and_its_neighbours_survive(poison: Any) -> None:
    body = encode_message(MESSAGE_ID, [GOOD.encode(), json.dumps(poison).encode(), GOOD.encode()])
    unit, (letter,) = decode(body)

    assert unit is not None
    assert unit.message_id == MESSAGE_ID
    assert [(one.number, one.key) for one in unit.updates] == [
        (0, "default/good"),
        (2, "default/good"),
    ]
    assert letter.reason == "invalid-entry"
    assert letter.detail.startswith("entry 1: ")
    assert decode_message(letter.body).id != MESSAGE_ID


@pytest.mark.parametrize(
    "metrics",
    [
        [point(step="x", labels=None, timestamp="2024-01-01T00:00:00.000Z")],
        # The first is made canonical before the second is refused.
        [point(step=1.0, labels=None), point(timestamp="yesterday")],
    ],
)
def test_a_poisoned_entry_goes_into_its_dead_letter_as_it_came(metrics: list[Json]) -> None:
    poison = entry(metrics=metrics)
    _, (letter,) = decode(encode_message(MESSAGE_ID, [orjson.dumps(poison)]))
    assert decode_message(letter.body).entries == [poison]


@pytest.mark.parametrize("depth", [10, 300, 1000])
def test_a_deeply_nested_poisoned_entry_becomes_a_dead_letter_too(depth: int) -> None:
    nested = b'{"sequence":1,"x":' + b"[" * depth + b"]" * depth + b"}"
    unit, (letter,) = decode(encode_message(MESSAGE_ID, [GOOD.encode(), nested]))
    assert unit is not None
    assert len(unit.updates) == 1
    assert letter.reason == "invalid-entry"


@pytest.mark.parametrize("body", [b"", b"{", b'{"version":2}', b"\xff"])
def test_bytes_that_are_no_message_become_a_dead_letter_as_they_are(body: bytes) -> None:
    unit, (letter,) = decode(body)
    assert unit is None
    assert (letter.reason, letter.body) == ("undecodable", body)
    assert letter.detail


@given(updates())
def test_valid_updates_make_no_dead_letters(items: list[Update]) -> None:
    unit, dead_letters = decode(encode_message(MESSAGE_ID, [item.encode() for item in items]))
    assert dead_letters == []
    assert unit is not None
    assert [one.number for one in unit.updates] == list(range(len(items)))


@given(RESOURCES)
def test_the_worker_takes_whatever_the_parser_accepts(resource: Json) -> None:
    body = orjson.dumps(resource)
    UpdateParser().parse(body)
    encoded = encode_entry(FIRST_SEQUENCE, "request", "default", body)
    unit, dead_letters = decode(encode_message(MESSAGE_ID, [encoded]))
    assert dead_letters == []
    assert unit is not None
    (one,) = unit.updates
    assert one.key == f"default/{resource['executionId']}"
    assert bool(sum(text.points for text in one.texts)) == bool(resource.get("metrics"))


@given(updates(max_size=1), st.sampled_from(["refused", "other"]))
def test_a_refused_unit_s_dead_letter_is_a_message_that_means_the_same(
    items: list[Update], reason: str
) -> None:
    (update,) = items
    unit, _ = decode(encode_message(MESSAGE_ID, [update.encode()]))
    assert unit is not None
    (alone,) = unit.alone()
    letter = alone.dead_letter(reason, "why")

    assert (letter.reason, letter.detail) == (reason, "why")
    assert f"{letter.resource_group}/{letter.execution_id}" == update.key
    message = decode_message(letter.body)
    assert message.id != MESSAGE_ID
    again, dead_letters = decode(letter.body)
    assert dead_letters == []
    assert again is not None
    assert again.updates == unit.updates
    assert decode_entry(message.entries[0]).request_id == "request"


def test_the_dead_letter_of_a_deeply_nested_refused_unit_can_be_made() -> None:
    # The parser would not accept it, but what is on a queue may be from another release.
    body = GOOD.encode()[:-2] + b',"createdAt":' + b"[" * 300 + b"]" * 300 + b"}}"
    unit, _ = decode(encode_message(MESSAGE_ID, [body]))
    assert unit is not None
    assert decode_message(unit.alone()[0].dead_letter("refused", "why").body).entries
