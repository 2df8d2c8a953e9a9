"""Compressed messages: the same bytes come back, and nothing that is damaged does any harm."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.compression import (
    MAX_BYTES,
    MIN_BYTES,
    Compressor,
    decompress,
    decompressed_bytes,
)
from ingest.contract.message import (
    UndecodableMessageError,
    decode_message,
    encode_entry,
    encode_message,
)
from tests.contract.strategies import MESSAGE_ID
from worker.prepare import decode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LARGE = encode_message(
    MESSAGE_ID,
    [
        encode_entry(1000 * n, f"request-{n}", "default", b'{"executionId":"run.1"}')
        for n in range(99)
    ],
)
COMPRESSED = Compressor().compress(LARGE)


@given(st.lists(st.binary(max_size=64).map(lambda one: one * 300), max_size=4))
def test_one_compressor_compresses_any_messages_and_each_comes_back(bodies: list[bytes]) -> None:
    compressor = Compressor()
    for body in bodies:
        message = b"{" + body
        compressed = compressor.compress(message)
        assert decompress(compressed) == message
        assert decompressed_bytes(compressed) == len(message)
        assert (compressed == message) == (len(message) < MIN_BYTES)


def test_entries_that_resemble_each_other_shrink_to_a_tenth() -> None:
    assert len(COMPRESSED) < len(LARGE) / 10


def test_a_message_is_decoded_either_way() -> None:
    assert decode_message(COMPRESSED) == decode_message(LARGE)


@pytest.mark.parametrize(
    "damaged",
    [
        COMPRESSED[:-1],
        COMPRESSED[:5],
        COMPRESSED[:4],
        COMPRESSED + b"\0",
        COMPRESSED + COMPRESSED,
        COMPRESSED[:20] + bytes(20) + COMPRESSED[40:],
        zstd.compress(b"{}" * MIN_BYTES)[:4] + b"\xff" * 40,
        # Without its size in front.
        zstd.ZstdCompressor().compress(LARGE, zstd.ZstdCompressor.FLUSH_BLOCK),
    ],
    ids=["cut", "head", "magic", "followed", "twice", "overwritten", "nonsense", "unknown size"],
)
def test_a_damaged_message_becomes_a_dead_letter(damaged: bytes) -> None:
    with pytest.raises(UndecodableMessageError):
        decode_message(damaged)
    unit, (letter,) = decode(damaged)
    assert unit is None
    assert (letter.reason, letter.body) == ("undecodable", damaged)


def test_a_message_that_says_it_is_huge_is_refused_before_it_is_decompressed() -> None:
    compressor = zstd.ZstdCompressor()
    compressor.set_pledged_input_size(MAX_BYTES + 1)
    begun = compressor.compress(bytes(10), zstd.ZstdCompressor.FLUSH_BLOCK)
    for refuse in (decompress, decompressed_bytes):
        with pytest.raises(ValueError, match=str(MAX_BYTES + 1)):
            refuse(begun)


@given(st.binary(max_size=200))
def test_any_bytes_behind_the_magic_number_are_refused_or_decompressed(rest: bytes) -> None:
    body = COMPRESSED[:4] + rest
    try:
        message = decompress(body)
    except ValueError:
        return
    assert len(message) == decompressed_bytes(body)
