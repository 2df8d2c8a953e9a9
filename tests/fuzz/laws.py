"""What must hold for any bytes at all. Each function raises AssertionError where it does not.

`make fuzz` gives them bytes guided by coverage; tests/fuzz/test_kept.py, which is part of
`make test`, gives them every kept file. The rules of a resource come from tests/input/oracle.py,
written by hand: neither the schema nor orjson decides what is right.
"""

import gzip
import re
import zlib
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any
from urllib.parse import quote

import bson
import orjson
from yarl import URL

from ingest.body import BodyReader
from ingest.contract.documents import segment_runs
from ingest.contract.merge import Change, change_of
from ingest.contract.message import decode_message, encode_entry, encode_message
from ingest.contract.parse import (
    InvalidUpdateError,
    MalformedBodyError,
    PayloadTooLargeError,
    UpdateParser,
)
from ingest.contract.points import Point, PointMerger, identity
from ingest.contract.split import split_resource
from ingest.errors import Error, RequestError
from ingest.query_parameters import parse_execution_id, parse_query
from ingest.tag_filters import TagFilter, parse_tag_filters
from ingest.update import check_media_type
from tests.contract.strategies import FIRST_SEQUENCE, MESSAGE_ID
from tests.input import oracle
from worker.prepare import NONSENSE, Unit, decode, prepare

MAX_BODY_BYTES = 64 * 1024
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
    changes, points = whole
    assert changes.keys() == {f"default/{resource['executionId']}"}
    for point in points:
        assert _CANONICAL.fullmatch(point["timestamp"])
        assert point.get("step", 0).__class__ is int
        assert point.get("labels", []) is not None
    _check_stands(resource, points, *changes.values())
    for max_bytes in (1, 100, 1000):
        parts = split_resource(deepcopy(resource), FIRST_SEQUENCE, max_bytes)
        assert _effect(parts) == whole, "split, it means something else"
        assert _effect(parts[::-1] + parts) == whole, "its parts depend on order or repetition"


def _effect(bodies: list[bytes]) -> tuple[dict[str, Change], list[Point]]:
    """Return what accepted bodies of one sequence do, once a message has carried them."""
    entries = [encode_entry(FIRST_SEQUENCE, "request", "default", body) for body in bodies]
    unit, dead_letters = decode(encode_message(MESSAGE_ID, entries))
    assert dead_letters == [], "accepted, but a dead letter"
    assert unit is not None
    assert len(unit.entries) == len(bodies)
    _check_writes(unit)
    changes: dict[str, Change] = {}
    merger = PointMerger()
    for _, entry, run in unit.entries:
        change = change_of(entry)
        changes.setdefault(entry.key, change).merge(change)
        merger.add(run.sequence, run.points)
    return changes, list(merger.take(None))


def _check_stands(resource: dict[str, Any], points: list[Point], change: Change) -> None:
    """Check that nothing but duplicates was dropped, and of those the later one kept."""
    for section, values in (("tags", change.tags), ("customInfo", change.custom_info)):
        sent = {item["name"]: item["value"] for item in resource.get(section, ())}
        assert {name: value for name, (_, value) in values.items()} == sent
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
            again = decode(letter.body)
            assert [one.reason for one in again[1]] == ["invalid-entry"]
    if unit is None:
        assert [letter.reason for letter in letters] == ["undecodable"]
        return
    assert len(unit.entries) + len(letters) == len(decode_message(body).entries)
    _check_writes(unit)
    for one in unit.alone():
        _check_writes(one)
        letter = one.dead_letter("refused", "why")
        again, none = decode(letter.body)
        assert none == []
        if letter.body != body:
            assert again is not None
            assert [(entry, run) for _, entry, run in again.entries] == [
                (entry, run) for _, entry, run in one.entries
            ]


def _check_writes(unit: Unit) -> None:
    """Check that what a unit writes is complete, and that MongoDB's own codec takes it."""
    try:
        writes = prepare([unit])
    except NONSENSE:
        # Foreseen: its entries become dead letters one by one. Only more entries than a
        # segment's id can number do it.
        assert max(number for number, *_ in unit.entries) > 0xFFFF
        return
    for documents in (writes.segments, writes.last, *writes.upserts.values()):
        for document in documents:
            if isinstance(document, tuple):
                bson.encode({"filter": document[0], "update": document[1]})
            else:
                bson.encode(document)
    keys = {entry.key for _, entry, _ in unit.entries}
    assert {one["resource"] for one in writes.last} == keys
    stored = sorted(
        (sequence, len(points))
        for segment in writes.segments + writes.last
        for sequence, points in segment_runs(segment)
    )
    assert sum(count for _, count in stored) == sum(len(run.points) for *_, run in unit.entries)
    assert {sequence for sequence, _ in stored} == {run.sequence for *_, run in unit.entries}


# --- Bodies and their encodings ----------------------------------------------------------------

_ENCODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", lambda plain: gzip.compress(plain, 1)),
    ("deflate", lambda plain: zlib.compress(plain, 1)),
    ("deflate", lambda plain: zlib.compress(plain, 1, wbits=-zlib.MAX_WBITS)),
]


def body(sent: bytes) -> None:
    """Decompression ends within its limit, and gives back what was compressed."""
    reader = _reader()
    for encoding in ("gzip", "deflate"):
        try:
            plain = reader._decompress(sent, encoding)  # noqa: SLF001 - the public way needs a request
        except RequestError as error:
            assert error.failure in (Error.ENCODING_INVALID.value, Error.PAYLOAD_LIMIT.value)
            assert error.details
        else:
            assert len(plain) <= MAX_BODY_BYTES
            assert plain == _decompressed(sent, encoding)
    for encoding, compress in _ENCODINGS:
        if encoding == "deflate" and compress is _ENCODINGS[2][1] and _looks_like_zlib(sent):
            continue
        assert reader._decompress(compress(sent), encoding) == sent  # noqa: SLF001 - as above
    _check_media_type(sent.decode("latin-1"))


def _check_media_type(text: str) -> None:
    try:
        check_media_type(text)
    except RequestError as error:
        assert error.failure is Error.MEDIA_TYPE.value
        assert text not in ("application/json", "application/merge-patch+json")
    else:
        assert text.partition(";")[0].strip().lower() in (
            "application/json",
            "application/merge-patch+json",
        )


@cache
def _reader() -> BodyReader:
    return BodyReader(MAX_BODY_BYTES, MAX_BODY_BYTES, 1.0)


def _looks_like_zlib(plain: bytes) -> bool:
    """Tell whether the raw stream of `plain` begins with what is a zlib header, too."""
    raw = _ENCODINGS[2][1](plain)
    return raw[0] & 0x0F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0


def _decompressed(sent: bytes, encoding: str) -> bytes:
    """Decompress by the standard library's own tools, all of it, down to the last byte."""
    if encoding == "gzip":
        return gzip.decompress(sent)
    decompressor = zlib.decompressobj(zlib.MAX_WBITS)
    try:
        plain = decompressor.decompress(sent)
    except zlib.error:
        decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = decompressor.decompress(sent)
    assert decompressor.eof, "accepted, but it is cut short"
    assert not decompressor.unused_data, "accepted with bytes behind it"
    return plain


# --- Query parameters --------------------------------------------------------------------------


def query(line: bytes) -> None:
    """Any query string is refused with its reasons or is within the limits."""
    # As aiohttp does it: a request line with other characters never gets so far.
    parameters = URL.build(query_string=line.decode("ascii", "ignore"), encoded=True).query
    try:
        parsed = parse_query(parameters)
    except RequestError as error:
        _check_refusal(error)
    else:
        assert len(parsed.execution_ids) <= 10
        assert all(oracle.is_execution_id(one) for one in parsed.execution_ids)
        assert parsed.execution_ids or "tagFilters" in parameters
        assert 1 <= parsed.top <= 10_000
        assert 0 <= parsed.skip < 2**31
        assert parsed.sections <= {"metrics", "tags", "customInfo"}
        assert parsed.sections
    try:
        assert oracle.is_execution_id(parse_execution_id(parameters))
    except RequestError as error:
        _check_refusal(error)
    for text in parameters.getall("tagFilters", []):
        _check_tag_filters(text)


def _check_refusal(error: RequestError) -> None:
    assert error.failure is Error.QUERY_INVALID.value
    assert all(0 < len(detail) < 1000 for detail in error.details)
    assert orjson.loads(error.body("request"))["error"]["details"]


def _check_tag_filters(text: str) -> None:
    try:
        filters = parse_tag_filters(text)
    except ValueError as error:
        assert 0 < len(str(error)) < 1000
        return
    assert 1 <= len(filters) <= 100
    written = ",".join(_written(one) for one in filters)
    if len(written) <= 5000:
        assert parse_tag_filters(written) == filters, "written again it is another"
    for one in filters:
        there = {one.name: one.value or "x"}
        assert one.holds(there) is not one.negated
        assert one.holds({one.name: f"{one.value}."}) is (one.negated or one.value is None)
        assert one.holds({}) is one.negated


def _written(one: TagFilter) -> str:
    name = quote(one.name, safe="")
    return name if one.value is None else f"{name}{'!' * one.negated}={quote(one.value, safe='')}"


LAWS: dict[str, Callable[[bytes], None]] = {
    "parse": parse,
    "message": message,
    "body": body,
    "query": query,
}
