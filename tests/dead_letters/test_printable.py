"""What is written to a terminal moves no cursor, and JSON keeps its value."""

import json

from hypothesis import given
from hypothesis import strategies as st

from ingest.runtime.printable import hexdump, printable, size

ANY_TEXT = st.text(st.characters())  # surrogates too


@given(ANY_TEXT)
def test_nothing_is_left_that_is_not_visible(text: str) -> None:
    assert printable(text).isprintable()


@given(ANY_TEXT)
def test_visible_text_stays_and_json_keeps_its_value(text: str) -> None:
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == json.loads(
        json.dumps(text, ensure_ascii=False)
    )
    if text.isprintable():
        assert printable(text) == text


@given(st.binary(max_size=200))
def test_a_hexdump_holds_every_byte_once_and_is_harmless(body: bytes) -> None:
    lines = list(hexdump(body))
    assert bytes.fromhex("".join(line[10:57] for line in lines)) == body
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_sizes_have_a_unit_a_person_reads() -> None:
    assert [size(n) for n in (0, 999, 1000, 999_949, 999_950, 16_711_680)] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "16.7 MB",
    ]  # fmt: skip
