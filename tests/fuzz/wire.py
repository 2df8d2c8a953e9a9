"""The laws of what else a request has: its encoded body, its media type, its query."""

import gzip
import zlib
from functools import cache
from urllib.parse import quote

import orjson
from yarl import URL

from ingest.body import BodyReader
from ingest.budget import Budget
from ingest.errors import Error, RequestError
from ingest.query_parameters import parse_execution_id, parse_query
from ingest.tag_filters import TagFilter, parse_tag_filters
from ingest.update import check_media_type
from tests.input import oracle

MAX_BODY_BYTES = 64 * 1024


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
    compressed = [("gzip", gzip.compress(sent, 1)), ("deflate", zlib.compress(sent, 1))]
    raw = zlib.compress(sent, 1, wbits=-zlib.MAX_WBITS)
    if not _looks_like_zlib(raw):  # nobody could tell
        compressed.append(("deflate", raw))
    for encoding, data in compressed:
        assert reader._decompress(data, encoding) == sent  # noqa: SLF001 - as above
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
    return BodyReader(MAX_BODY_BYTES, Budget("bytes", MAX_BODY_BYTES, MAX_BODY_BYTES), 1.0)


def _looks_like_zlib(raw: bytes) -> bool:
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
