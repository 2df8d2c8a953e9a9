"""A line that says how far things are: kept up to date in a terminal, repeated elsewhere."""

import time
from typing import TextIO

_INTERVAL_S = 10.0
_MAX_NOTES = 5
_CLEAR_LINE = "\r\x1b[K"


class StatusLine:
    """The state of `make run` in one line.

    In a terminal the line stays at the bottom and is kept up to date; in a pipe or a file there is
    a new line at most every ten seconds, and only when something has changed.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._rewrites = output.isatty()
        self._shown = ""
        self._interval_ends = 0.0
        self._notes = 0

    def show(self, *, accepted: int | None, queued: int | None, stored: int | None) -> None:
        """Show the counts since the start; None is a count that is not known now."""
        line = (
            f"accepted {_count(accepted, 'update')} | queued {_count(queued, 'message')} | "
            f"stored {_count(stored, 'update')}"
        )
        if time.monotonic() >= self._interval_ends:
            self._begin_interval()
        elif not self._rewrites:
            return
        if line == self._shown:
            return
        self._shown = line
        if self._rewrites:
            self._write(f"{_CLEAR_LINE}{line}")
        else:
            self._write(f"{line}\n")

    def note(self, text: str) -> None:
        """Show a line of its own above the status; too many in one interval are left out."""
        self._notes += 1
        if self._notes <= _MAX_NOTES:
            clear = _CLEAR_LINE if self._rewrites else ""
            self._write(f"{clear}{text}\n{self._shown if self._rewrites else ''}")

    def _begin_interval(self) -> None:
        left_out, self._notes = self._notes - _MAX_NOTES, 0
        if left_out > 0:
            self.note(f"... and {left_out:,} more in the logs")
            self._notes = 0
        self._interval_ends = time.monotonic() + _INTERVAL_S

    def end(self) -> None:
        """Leave the line as it is; what is printed next begins a new one."""
        if self._rewrites and self._shown:
            self._write("\n")

    def _write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()


def _count(number: int | None, unit: str) -> str:
    if number is None:
        return f"? {unit}s"
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
