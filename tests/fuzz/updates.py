"""The laws of updates: what the gateway's parser accepts, and what the worker makes of bytes."""

import re
from copy import deepcopy
from functools import cache
from typing import Any

import bson
import orjson

from ingest.contract.compression import decompress
from ingest.contract.documents import CUSTOM_INFO, TAGS, segment_runs
from ingest.contract.merge import Values, merge_values
from ingest.contract.message import decode_message, encode_entry, encode_message
from ingest.contract.parse import (
    InvalidUpdateError,
    MalformedBodyError,
    PayloadTooLargeError,
    UpdateParser,
)
from ingest.contract.points import Point, PointMerger, identity
from ingest.contract.split import split_resource
from tests.contract.strategies import FIRST_SEQUENCE, MESSAGE_ID
from tests.input import oracle
from worker.prepare import NONSENSE, Unit, decode, prepare

_CANONICAL = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.([0-9]{3}|[0-9]{6}|[0-9]{9})Z"
)
# Deeper than any rule allows, and less deep than any parser's limit.
_DEEP = 100


# --- The gateway's parser ----------------------------------------------------------------------


def parse(body: bytes) -> None:
    """Accepted exactly if valid; what is accepted, the worker can store; what not, has a place."""
    nested = max(body.count(b"["), body.count(b"{")) > _DEEP
    try:
        value = oracle.loads(body)
        wrong = oracle.wrong_places(value)
    except oracle.NotJsonError:
        value, wrong = None, None
    try:
        resource = _parser().parse(body)
    except MalformedBodyError as error:
        assert wrong is None or nested, "refused, but it is JSON"
        assert 0 < len(str(error)) < 500
    except PayloadTooLargeError:
        assert oracle.is_too_large(value)
    except InvalidUpdateError as error:
        reported = {violation.pointer for violation in error.violations}
        assert reported, "refused without a reason"
        assert all(0 < len(str(violation)) < 1000 for violation in error.violations)
        if wrong is not None:
            assert reported == wrong or len(error.violations) > 1000
        else:
            assert nested, "called invalid, but it is not JSON"
    else:
        assert wrong is not None or nested, "accepted, but it is not JSON"
        assert not wrong, f"accepted, but wrong at {wrong}"
        _check_accepted(body, resource)


@cache
def _parser() -> UpdateParser:
    return UpdateParser()


def _check_accepted(body: bytes, resource: dict[str, Any]) -> None:
    assert _parser().parse(orjson.dumps(resource)) == resource, "encoded again it is another"
    whole = _effect([body])
    keys, values, points = whole
    assert keys == {f"default/{resource['executionId']}"}
    for point in points:
        assert _CANONICAL.fullmatch(point["timestamp"])
        assert point.get("step", 0).__class__ is int
        assert point.get("labels", []) is not None
    _check_stands(resource, points, values)
    for max_bytes in (1, 100, 1000):
        parts = split_resource(deepcopy(resource), FIRST_SEQUENCE, max_bytes)
        assert _effect(parts) == whole, "split, it means something else"
        assert _effect(parts[::-1] + parts) == whole, "its parts depend on order or repetition"


def _effect(bodies: list[bytes]) -> tuple[set[str], dict[str, Values], list[Point]]:
    """Return what accepted bodies of one sequence do, once a message has carried them.

    That is: the keys of their resources, the values by collection, and the points.
    """
    entries = [encode_entry(FIRST_SEQUENCE, "request", "default", body) for body in bodies]
    unit, dead_letters = decode(encode_message(MESSAGE_ID, entries))
    assert dead_letters == [], "accepted, but a dead letter"
    assert unit is not None
    assert len(unit.updates) == len(bodies)
    _check_writes(unit)
    values: dict[str, Values] = {TAGS: {}, CUSTOM_INFO: {}}
    merger = PointMerger()
    for update in unit.updates:
        for collection, of_update in update.values:
            merge_values(values[collection], of_update)
        for text in update.texts:
            merger.add(text.sequence, orjson.loads(text.text))
    keys = {update.key for update in unit.updates}
    return keys, values, list(merger.take(None))


def _check_stands(resource: dict[str, Any], points: list[Point], values: dict[str, Values]) -> None:
    """Check that nothing but duplicates was dropped, and of those the later one kept."""
    for section, collection in (("tags", TAGS), ("customInfo", CUSTOM_INFO)):
        sent = {item["name"]: item["value"] for item in resource.get(section, ())}
        assert {name: value for name, (_, value) in values[collection].items()} == sent
    expected = {}
    for metric in resource.get("metrics", ()):
        stamp, step = metric.get("timestamp"), metric.get("step")
        labels = metric.get("labels") or ()
        key = (
            -1 if step is None else int(step),
            "2023-11-14T22:13:20.000Z" if stamp is None else oracle.canonical(stamp),
            metric["name"],
            frozenset((label["name"], label["value"]) for label in labels),
        )
        expected[key] = metric["value"]
    assert {identity(point): point["value"] for point in points} == expected


# --- The worker --------------------------------------------------------------------------------


def message(body: bytes) -> None:
    """Any bytes become writes and dead letters that can be read again, and nothing is lost."""
    unit, letters = decode(body)
    for letter in letters:
        assert letter.reason in ("undecodable", "invalid-entry")
        assert 0 < len(letter.detail) <= 500
        if letter.reason == "undecodable":
            assert letter.body == body
        elif letter.body != body:  # an entry alone, in a message of its own
            (_,) = decode_message(letter.body).entries
            _, still_dead = decode(letter.body)
            assert [one.reason for one in still_dead] == ["invalid-entry"]
    if unit is None:
        assert [letter.reason for letter in letters] == ["undecodable"]
        return
    entries = orjson.loads(decompress(body))["entries"]
    assert decode_message(body).entries == entries, "decoded one by one they are others"
    assert len(unit.updates) + len(letters) == len(entries)
    _check_writes(unit)
    for one in unit.alone():
        _check_writes(one)
        letter = one.dead_letter("refused", "why")
        again, none = decode(letter.body)
        assert none == []
        if letter.body != body:
            assert again is not None
            assert [update._replace(number=0) for update in again.updates] == [
                update._replace(number=0) for update in one.updates
            ]


def _check_writes(unit: Unit) -> None:
    """Check that what a unit writes is complete, and that MongoDB's own codec takes it."""
    try:
        writes = prepare([unit])
    except NONSENSE:
        # Foreseen: its entries become dead letters one by one. Only more entries than a
        # segment's id can number do it.
        assert max(update.number for update in unit.updates) > 0xFFFF
        return
    for document in writes.segments + writes.last:
        bson.encode(document)
    for upserts in writes.upserts.values():
        for condition, update in upserts:
            bson.encode({"filter": condition, "update": update})
    keys = {update.key for update in unit.updates}
    assert {one["resource"] for one in writes.last} == keys == writes.created.keys()
    runs = [run for segment in writes.segments + writes.last for run in segment_runs(segment)]
    for _, points in runs:
        assert all(_CANONICAL.fullmatch(point["timestamp"]) for point in points)
    stored = [(sequence, len(points)) for sequence, points in runs]
    assert sum(count for _, count in stored) == sum(
        text.points for update in unit.updates for text in update.texts
    )
    assert {sequence for sequence, _ in stored} == {update.sequence for update in unit.updates}
