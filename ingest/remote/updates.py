"""The input of `send`: bytes in, updates out, as they come.

It is JSON lines, or one JSON document. Which of the two shows in the first line: if that is JSON by
itself, and no array, so are the others. A document is read to its end before it is looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from ingest.contract.parse import why_not_json

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True, eq=False)
class Update:
    """What stands in one place of the input, of so many bytes: a MetricResource, if all is well."""

    place: str
    resource: Any
    bytes: int


@dataclass(frozen=True, slots=True)
class Malformed:
    """A place of the input that is not JSON, and why."""

    place: str
    reason: str
    bytes: int


Item = Update | Malformed


class UpdateReader:
    """Make updates of an input that comes in pieces."""

    def __init__(self) -> None:
        # Pieces of a line that is not complete.
        self._rest: list[bytes] = []
        self._line = 0
        # Whether it is JSON lines: None until there is a first line to tell by.
        self._lines: bool | None = None
        # Pieces of a document, which are only joined at its end.
        self._document: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[Item]:
        """Take a piece and yield what is complete with it."""
        if self._lines is False:
            self._document.append(piece)
            return
        *lines, rest = piece.split(b"\n")
        if not lines:
            self._rest.append(rest)
            return
        lines[0] = b"".join([*self._rest, lines[0]])
        self._rest = [rest]
        for number, line in enumerate(lines):
            if self._lines is None:
                self._lines = _begins_lines(line)
            if self._lines is False:
                self._document = [one + b"\n" for one in lines[number:]] + self._rest
                self._rest = []
                return
            yield from self._of_line(line)

    def finish(self) -> Iterator[Item]:
        """Yield the rest: there is no more."""
        if self._lines is True:
            yield from self._of_line(b"".join(self._rest))
            return
        document = b"".join(self._document + self._rest)
        if not document.strip(_BYTE_ORDER_MARK + b" \t\r\n"):
            return
        try:
            value = orjson.loads(document.removeprefix(_BYTE_ORDER_MARK))
        except ValueError as error:
            yield Malformed("the input", why_not_json(document, error), len(document))
            return
        yield from _expanded(value, "", len(document))

    def _of_line(self, line: bytes) -> Iterator[Item]:
        self._line += 1
        if not line.strip():
            return
        place = f"line {self._line:,}"
        try:
            value = orjson.loads(_without_mark(line))
        except ValueError as error:
            yield Malformed(place, why_not_json(line, error), len(line) + 1)
            return
        yield from _expanded(value, place, len(line) + 1)


def _begins_lines(line: bytes) -> bool | None:
    """Tell whether a first line begins JSON lines; None if there is nothing on it."""
    text = _without_mark(line).strip()
    if not text:
        return None
    if text.startswith(b"["):
        return False
    try:
        orjson.loads(text)
    except ValueError:
        # The beginning of a document, or a line that is wrong: both go on with others.
        return text[-1:] == b"}"
    return True


def _without_mark(line: bytes) -> bytes:
    return line.removeprefix(_BYTE_ORDER_MARK)


def _expanded(value: Any, place: str, size: int) -> Iterator[Update]:
    """Yield the updates in a JSON value: itself, or the items of an array or of a GET's answer."""
    if isinstance(value, dict) and "executionId" not in value:
        value = value["resources"] if isinstance(value.get("resources"), list) else value
    if not isinstance(value, list):
        yield Update(place or "the input", value, size)
        return
    for number, item in enumerate(value, 1):
        within = f"item {number:,}"
        share = size * number // len(value) - size * (number - 1) // len(value)
        yield Update(f"{place}, {within}" if place else within, item, share)
