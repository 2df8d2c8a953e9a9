"""Progress on stderr: a bar on a terminal, elsewhere a line every few seconds."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

_LINE_INTERVAL_S = 5.0


class Progress:
    """Show how far something is. Use it with `with`; the bar vanishes at the end."""

    def __init__(self, console: Console, verb: str, what: str, *, bar: bool = True) -> None:
        """Prepare; `verb` and `what` say what is done to what, as in "replaying" "dead letters".

        Without `bar` a terminal gets lines, too: for a command that writes results meanwhile.
        """
        self._console = console
        self._verb = verb
        self._what = what
        self._line_at = time.monotonic() + _LINE_INTERVAL_S
        self._bar: Bar | None = None
        self._task = TaskID(0)
        if bar and console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                DownloadColumn() if what == "bytes" else MofNCompleteColumn(),
                TimeRemainingColumn(compact=True),
                console=console,
                transient=True,
                expand=True,
            )
            self._task = self._bar.add_task(verb, total=None)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, seen: int, total: int | None) -> None:
        """Show that so many of so many are done; None if nobody knows how many there will be."""
        if self._bar is not None:
            self._bar.update(self._task, completed=seen, total=total)
        elif time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + _LINE_INTERVAL_S
            of = "" if total is None else f" of {total:,}"
            self._console.print(f"{self._verb}: {seen:,}{of} {self._what}")
