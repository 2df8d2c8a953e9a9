"""The message: what is encoded is what is decoded, and nothing else passes for a message."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.message import (
    Entry,
    InvalidEntryError,
    UndecodableMessageError,
    decode_entry,
    decode_message,
    encode_entry,
    encode_message,
    new_message_id,
    read_message,
)
from ingest.contract.parse import InvalidUpdateError, MalformedBodyError, UpdateParser
from ingest.contract.resource import RESOURCE_GROUP_PATTERN
from tests.contract.strategies import MESSAGE_ID, RESOURCES, Json, texts

ENTRIES = st.builds(
    Entry,
    sequence=st.integers(0, 2**63 - 1),
    request_id=texts(20),
    resource_group=st.from_regex(RESOURCE_GROUP_PATTERN, fullmatch=True),
    resource=RESOURCES,
)
ENTRY: Json = {
    "sequence": 1_700_000_000_123_456_789,
    "requestId": "request",
    "resourceGroup": "default",
    "resource": {"executionId": "abcd"},
}


def encoded(entry: Entry) -> bytes:
    body = orjson.dumps(entry.resource)
    return encode_entry(entry.sequence, entry.request_id, entry.resource_group, body)


def message(**fields: Any) -> bytes:
    return orjson.dumps({"version": 1, "id": MESSAGE_ID.hex(), "entries": [], **fields})


@given(st.binary(min_size=12, max_size=12), st.lists(ENTRIES, max_size=4))
def test_decoding_returns_what_was_encoded(message_id: bytes, entries: list[Entry]) -> None:
    decoded = decode_message(encode_message(message_id, [encoded(entry) for entry in entries]))
    assert decoded.id == message_id
    assert repr([decode_entry(raw) for raw in decoded.entries]) == repr(entries)


@given(st.data(), st.lists(st.sampled_from([b"{}", b"[1,2]", b"1", b"12", b'","']), max_size=4))
def test_lengths_that_are_wrong_never_make_other_entries(
    data: st.DataObject, entries: list[bytes]
) -> None:
    whole = b'{"version":1,"id":"%b","lengths":%b,"entries":[%b]}'
    values = st.one_of(st.integers(-1, 8), st.sampled_from([None, True, 1.0, "1", 2**63]))
    right = [len(entry) for entry in entries]
    fused = [sum(right) + len(right) - 1] if right else []
    shifted = [length + data.draw(st.integers(-1, 1)) for length in right]
    lengths = data.draw(
        st.one_of(values, st.lists(values, max_size=5), st.sampled_from([right, fused, shifted]))
    )
    body = whole % (MESSAGE_ID.hex().encode(), orjson.dumps(lengths), b",".join(entries))
    try:
        decoded = decode_message(body)
    except UndecodableMessageError:
        assert lengths != right
        return
    assert decoded.entries == orjson.loads(body)["entries"]


@pytest.mark.parametrize(
    "rest",
    [b"{}{}]}", b"{};{}]}", b"{},{}}}", b"{},{}]", b"{},{}],}", b"{},{},]}", b"{},{}"],
)
def test_what_stands_between_and_after_entries_is_checked(rest: bytes) -> None:
    head = b'{"version":1,"id":"%b","lengths":[2,2],"entries":[' % MESSAGE_ID.hex().encode()
    assert decode_message(head + b"{},{}]}").entries == [{}, {}]
    with pytest.raises(UndecodableMessageError):
        decode_message(head + rest)


def test_what_looks_like_entries_inside_another_field_is_not_taken_for_them() -> None:
    inner = {"lengths": [2], "x": 1, "entries": [5]}
    body = orjson.dumps({"version": 1, "id": MESSAGE_ID.hex(), "sentBy": inner, "entries": [7]})
    assert decode_message(body).entries == [7]
    fields = {"id": MESSAGE_ID.hex(), "sentBy": ',"entries":[', "lengths": [1], "entries": [7]}
    assert decode_message(orjson.dumps({"version": 1, **fields})).entries == [7]


def test_entries_are_decoded_one_by_one() -> None:
    _, entries = read_message(encode_message(MESSAGE_ID, [b"1", b"nonsense", b"3"]))
    assert next(entries) == 1
    with pytest.raises(UndecodableMessageError):
        next(entries)


def test_the_client_s_own_bytes_stand_in_the_message() -> None:
    body = b'{ "executionId" :\n"abcd", "createdAt" : 1.50 }'
    assert body in encode_entry(1, "request", "default", body)


def test_an_entry_knows_its_resource() -> None:
    assert decode_entry(ENTRY).key == "default/abcd"


@given(st.integers(0, 2**64 - 2), st.binary(min_size=4, max_size=4))
def test_message_ids_are_12_bytes_that_grow_with_the_sequence(number: int, origin: bytes) -> None:
    one = new_message_id(number, origin)
    assert len(one) == 12
    assert one < new_message_id(number + 1, bytes(4))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"message"',
        b"\xff\xfe",
        b'{"version":1}',
        message(id=None),
        message(id=5),
        message(id=""),
        message(id="zz" * 12),
        message(id="00" * 11),
        message(id="00" * 13),
        message(entries=None),
        message(entries={}),
        message(entries="entries"),
        message()[:-1],
        message() + b"x",
        message().replace(b"[]", b"[NaN]"),
        message().replace(b"[]", b"[1e400]"),
        message().replace(b'"version":1,', b""),
        message().replace(b'"id"', b'"ID"'),
        message().replace(b'"entries"', b'"entry"'),
    ],
)
def test_what_is_not_a_message_is_undecodable(body: bytes) -> None:
    with pytest.raises(UndecodableMessageError):
        decode_message(body)


@pytest.mark.parametrize("version", [0, 2, -1])
def test_an_unknown_version_is_undecodable_and_named(version: int) -> None:
    with pytest.raises(UndecodableMessageError, match=f"unknown message version {version}"):
        decode_message(message(version=version))


@pytest.mark.parametrize("version", ["1", None, True, 1.0, [1], "x" * 1000], ids=type)
def test_a_version_that_is_no_integer_is_undecodable_and_not_shown(version: Any) -> None:
    with pytest.raises(UndecodableMessageError, match="its version is no integer"):
        decode_message(message(version=version))


@pytest.mark.parametrize("missing", ["sequence", "requestId", "resourceGroup", "resource"])
def test_an_entry_that_lacks_a_field_is_invalid(missing: str) -> None:
    raw = {name: value for name, value in ENTRY.items() if name != missing}
    with pytest.raises(InvalidEntryError, match=missing):
        decode_entry(raw)


@pytest.mark.parametrize(
    "fields",
    [
        {"sequence": "1"},
        {"sequence": 1.0},
        {"sequence": True},
        {"sequence": None},
        {"resourceGroup": 5},
        {"resourceGroup": None},
        {"resource": None},
        {"resource": []},
        {"resource": "abcd"},
        {"resource": {}},
        {"resource": {"executionId": 5}},
        {"resource": {"executionId": None}},
    ],
    ids=repr,
)
def test_an_entry_with_a_field_of_another_type_is_invalid(fields: Json) -> None:
    with pytest.raises(InvalidEntryError):
        decode_entry({**ENTRY, **fields})


@pytest.mark.parametrize("raw", [None, 5, 1.5, "entry", [], [1, 2], {}, True], ids=repr)
def test_what_is_no_entry_is_invalid(raw: Any) -> None:
    with pytest.raises(InvalidEntryError):
        decode_entry(raw)


def test_fields_that_a_later_release_may_add_are_ignored() -> None:
    later = message(entries=[{**ENTRY, "traceparent": "00-1"}], sentBy={"gateway": 1})
    decoded = decode_message(later)
    assert decoded.id == MESSAGE_ID
    assert decode_entry(decoded.entries[0]) == decode_entry(ENTRY)


@pytest.mark.parametrize("depth", [10, 250, 500, 1000, 1015, 1019, 1020, 1021, 1022, 1023])
def test_every_body_that_the_gateway_accepts_is_decodable_in_a_message(depth: int) -> None:
    body = b'{"executionId":"abcd","createdAt":' + b"[" * depth + b"]" * depth + b"}"
    try:
        UpdateParser().parse(body)
    except (InvalidUpdateError, MalformedBodyError):
        return  # refused: nothing was promised
    decoded = decode_message(
        encode_message(MESSAGE_ID, [encode_entry(1, "request", "default", body)])
    )
    assert decode_entry(decoded.entries[0]).key == "default/abcd"
