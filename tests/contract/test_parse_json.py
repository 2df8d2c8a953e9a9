"""What is JSON and what is not, and bodies made to hurt."""

import time

import pytest

from ingest.contract.parse import (
    InvalidUpdateError,
    MalformedBodyError,
    PayloadTooLargeError,
    UpdateParser,
)
from ingest.contract.resource import MAX_CUSTOM_INFO_BYTES
from ingest.contract.violations import pointer

PARSER = UpdateParser()


@pytest.mark.parametrize("body", [b"", b" \r\n\t "])
def test_an_empty_body_is_said_to_be_empty(body: bytes) -> None:
    with pytest.raises(MalformedBodyError, match="the body is empty"):
        PARSER.parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"executionId":"abcd"',
        b'{"executionId":"abcd",}',
        b'{"executionId":"abcd"}x',
        b'{"executionId":"abcd"}\0',
        b"{'executionId':'abcd'}",
        b'{executionId:"abcd"}',
        b'// comment\n{"executionId":"abcd"}',
        b'{"executionId":"ab\ncd"}',
        b"abcd",
    ],
)
def test_what_is_not_json_is_malformed_with_its_place(body: bytes) -> None:
    with pytest.raises(MalformedBodyError, match=r"not JSON: .* line \d+ column \d+"):
        PARSER.parse(body)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "01", "+1"])
def test_numbers_that_json_or_a_double_does_not_have_are_malformed(number: str) -> None:
    body = b'{"executionId":"abcd","metrics":[{"name":"a","value":%b}]}' % number.encode()
    with pytest.raises(MalformedBodyError):
        PARSER.parse(body)


@pytest.mark.parametrize(
    "text",
    [rb"\ud800", rb"\udc00", rb"\udc00\ud800", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xc3"],
)
def test_lone_surrogates_and_invalid_utf8_are_malformed_wherever_they_stand(text: bytes) -> None:
    for field in (b"executionId", b"createdAt", b"foo"):
        with pytest.raises(MalformedBodyError):
            PARSER.parse(b'{"executionId":"abcd","%b":"abcd%b"}' % (field, text))


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    body = rb'{"executionId":"abcd","tags":[{"name":"a","value":"%b"}]}' % (rb"\ud83d\ude00" * 256)
    assert PARSER.parse(body)["tags"] == [{"name": "a", "value": "\U0001f600" * 256}]


@pytest.mark.parametrize(
    "body",
    ['\ufeff{"executionId":"abcd"}'.encode(), '{"executionId":"abcd"}'.encode("utf-16")],
    ids=["BOM", "UTF-16"],
)
def test_only_utf8_without_byte_order_mark_is_json(body: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        PARSER.parse(body)


def test_typographic_quotes_are_pointed_out() -> None:
    # As the documentation's own example has them.
    with pytest.raises(MalformedBodyError, match="typographic quotes"):
        PARSER.parse("{\u201cexecutionId\u201d: \u201cabcd\u201d}".encode())
    with pytest.raises(MalformedBodyError) as caught:
        PARSER.parse(b"{'executionId': 'abcd'}")
    assert "typographic" not in str(caught.value)


def test_white_space_around_the_body_is_json() -> None:
    assert PARSER.parse(b' \r\n{"executionId" : "abcd"}\n') == {"executionId": "abcd"}


@pytest.mark.parametrize("depth", [100, 254, 255, 256, 300, 1000, 1023, 2000, 100_000])
@pytest.mark.parametrize("field", ["executionId", "metrics", "tags", "customInfo", "foo"])
@pytest.mark.parametrize(("opening", "closing"), ["[]", ('{"a":', "}")])
def test_a_deeply_nested_body_is_refused_as_any_other(
    field: str, depth: int, opening: str, closing: str
) -> None:
    nested = opening * depth + "[]" + closing * depth
    with pytest.raises((MalformedBodyError, InvalidUpdateError)):
        PARSER.parse(f'{{"executionId":"abcd","{field}":{nested}}}'.encode())


def test_a_deeply_nested_custom_info_in_a_large_body_is_refused_as_any_other() -> None:
    padding = "x" * MAX_CUSTOM_INFO_BYTES
    nested = "[" * 300 + "]" * 300
    body = f'{{"executionId":"abcd","customInfo":{nested},"foo":"{padding}"}}'.encode()
    with pytest.raises((MalformedBodyError, InvalidUpdateError, PayloadTooLargeError)):
        PARSER.parse(body)


@pytest.mark.parametrize("item", [b"{}", b"1", b'{"name":"a","value":1,"foo":2}'])
def test_very_many_violations_cost_little_time(item: bytes) -> None:
    # All requests of a gateway wait while one body is parsed.
    body = b'{"executionId":"abcd","metrics":[' + b",".join([item] * 100_000) + b"]}"
    started = time.process_time()
    with pytest.raises(InvalidUpdateError):
        PARSER.parse(body)
    assert time.process_time() - started < 0.5


def test_very_many_unknown_fields_cost_little_time() -> None:
    fields = b",".join(b'"f%d":0' % number for number in range(100_000))
    started = time.process_time()
    with pytest.raises(InvalidUpdateError) as caught:
        PARSER.parse(b'{"executionId":"abcd",' + fields + b"}")
    assert time.process_time() - started < 0.5
    (violation,) = caught.value.violations
    assert len(violation.reason) < 400


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("a", 0), "/a/0"), (("a/b", "c~d", "~1"), "/a~1b/c~0d/~01"), (("",), "/")],
)
def test_a_pointer_escapes_tilde_and_slash(path: tuple[str | int, ...], text: str) -> None:
    # No field of the schema has either, so no body can show it.
    assert pointer(path) == text
