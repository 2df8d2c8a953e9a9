"""What a person sees of dead letters, and what a script reads."""

import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest.contract.compression import decompress
from ingest.runtime.printable import hexdump, printable, shortened, size
from worker.letters.letter import Letter

# Below this width a letter takes some lines of a table with two columns.
_WIDE_COLUMNS = 150
_MAX_DETAIL_CHARS = 100
_MAX_SHOWN_LINES = 200
_MAX_SHOWN_CHARS = 2000
_COLUMNS = ("ID", "DEAD-LETTERED (UTC)", "REASON", "RESOURCE GROUP", "EXECUTION", "ENTRIES", "SIZE",
            "DETAIL")  # fmt: skip
_NOT_KNOWN = "-"
# Shown under names of their own, or a count of how often somebody looked.
_SHOWN_HEADERS = ("reason", "detail", "resourceGroup", "executionId", "x-delivery-count")


class LetterTable:
    """A table of letters and a summary of them. It keeps a line a letter, and no body."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._rows: list[tuple[str, ...]] = []
        self._reasons: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many letters were added."""
        return self._reasons.total()

    def add(self, letter: Letter) -> None:
        """Add a letter: as a row, while there are fewer than `max_rows`, and to the summary."""
        reason = shortened(printable(letter.reason), _MAX_DETAIL_CHARS)
        self._reasons[reason] += 1
        self._bytes[reason] += len(letter.body)
        if len(self._rows) < self._max_rows:
            self._rows.append(_row(letter, reason))

    def write_rows(self, console: Console) -> None:
        """Write the letters, wide or narrow; outside a terminal always wide and unwrapped."""
        if not self._rows:
            return
        if not console.is_terminal:
            _write_plain(console, _wide_table(self._rows))
        elif console.width >= _WIDE_COLUMNS:
            console.print(_wide_table(self._rows))
        else:
            console.print(_narrow_table(self._rows))
        if more := self.count - len(self._rows):
            console.print(f"and {more:,} more (--limit shows more)")
        console.print()

    def write_summary(self, console: Console) -> None:
        """Write how many letters there are for each reason."""
        if not self._reasons:
            return
        table = _table("REASON", "LETTERS", "SIZE", right=("LETTERS", "SIZE"))
        for reason, count in self._reasons.most_common():
            table.add_row(Text(reason), f"{count:,}", size(self._bytes[reason]))
        if len(self._reasons) > 1:
            table.add_row(Text("all"), f"{self.count:,}", size(self._bytes.total()))
        if console.is_terminal:
            console.print(table)
        else:
            _write_plain(console, table)


def _row(letter: Letter, reason: str) -> tuple[str, ...]:
    group, execution_id = (letter.resources or [("", "")])[0]
    others = len(letter.resources) - 1
    return (
        letter.id,
        _time(letter.dead_lettered_at),
        reason,
        shortened(printable(group), _MAX_DETAIL_CHARS) or _NOT_KNOWN,
        (shortened(printable(execution_id), _MAX_DETAIL_CHARS) or _NOT_KNOWN)
        + (f" (+{others:,})" if others > 0 else ""),
        _NOT_KNOWN if letter.entries is None else f"{len(letter.entries):,}",
        size(len(letter.body)),
        shortened(printable(letter.detail), _MAX_DETAIL_CHARS),
    )


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else _NOT_KNOWN


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def _wide_table(rows: Iterable[tuple[str, ...]]) -> Table:
    table = _table(*_COLUMNS, right=("ENTRIES", "SIZE"))
    for column in table.columns:
        column.no_wrap = column.header != "DETAIL"
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _narrow_table(rows: Iterable[tuple[str, ...]]) -> Table:
    table = _table("ID", "DEAD-LETTERED (UTC), REASON, RESOURCE GROUP / EXECUTION, DETAIL")
    table.columns[0].no_wrap = True
    for letter_id, at, reason, group, execution_id, entries, bytes_, detail in rows:
        cell = Text(f"{at}  ")
        cell.append(reason, "bold")
        word = "entry" if entries == "1" else "entries"
        cell.append(f"  {bytes_}" if entries == _NOT_KNOWN else f"  {entries} {word}, {bytes_}")
        if group != _NOT_KNOWN or execution_id != _NOT_KNOWN:
            cell.append(f"\n{group} / {execution_id}")
        if detail:
            cell.append(f"\n{detail}", "dim")
        table.add_row(Text(letter_id), cell)
    return table


def _write_plain(console: Console, table: Table) -> None:
    """Write a table as wide as it is, without the blanks that fill its lines."""
    paper = Console(file=io.StringIO(), width=10_000, color_system=None, force_terminal=False)
    with paper.capture() as capture:
        paper.print(table)
    for line in capture.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def json_line(letter: Letter) -> str:
    """Return a letter, without its body, as one line of JSON in ASCII."""
    at = letter.dead_lettered_at
    return json.dumps(
        {
            "id": letter.id,
            "deadLetteredAt": f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None,
            "reason": letter.reason,
            "detail": letter.detail,
            "resources": [
                {"resourceGroup": group, "executionId": execution_id}
                for group, execution_id in letter.resources
            ],
            "entries": None if letter.entries is None else len(letter.entries),
            "bytes": len(letter.body),
        }
    )


def show_lines(letter: Letter, *, full: bool) -> Iterator[str]:
    """Yield all there is to know about a letter; without `full`, of a long body the beginning."""
    at = letter.dead_lettered_at
    yield f"dead letter {letter.id}"
    facts = {
        "sha256": letter.sha256,
        "dead-lettered": f"{_time(at)} UTC" if at else "",
        "reason": letter.reason,
        "detail": letter.detail,
        "entries": "" if letter.entries is None else f"{len(letter.entries):,}",
        "size": f"{size(len(letter.body))} ({len(letter.body):,} bytes)",
        "content type": letter.content_type or "",
    }
    for name, value in facts.items():
        if value:
            yield f"  {name:<14}{printable(value)}"
    yield from _resource_lines(letter, full=full)
    for name, value in letter.headers.items():
        if name not in _SHOWN_HEADERS:
            yield f"  {'header':<14}{printable(f'{name}: {_plain(value)}')}"
    yield "  body"
    lines = _body_lines(letter.body)
    max_lines = None if full else _MAX_SHOWN_LINES
    for line in itertools.islice(lines, max_lines):
        yield "    " + (line if full else shortened(line, _MAX_SHOWN_CHARS))
    if next(lines, None) is not None:
        yield "    … (--full shows all)"


def _resource_lines(letter: Letter, *, full: bool) -> Iterator[str]:
    shown = letter.resources if full else letter.resources[:20]
    for group, execution_id in shown:
        pair = f"{printable(group) or _NOT_KNOWN} / {printable(execution_id) or _NOT_KNOWN}"
        yield f"  {'resource':<14}{pair}"
    if more := len(letter.resources) - len(shown):
        yield f"  {'':<14}and {more:,} more (--full shows all)"


def _plain(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _body_lines(body: bytes) -> Iterator[str]:
    """Yield the body as indented JSON if it is JSON, else as a dump of its bytes."""
    try:
        message = orjson.loads(decompress(body))
        text = orjson.dumps(message, option=orjson.OPT_INDENT_2).decode()
    except (ValueError, orjson.JSONEncodeError):  # the latter: nested too deeply
        yield from hexdump(body)
    else:
        for line in text.split("\n"):
            yield printable(line)
