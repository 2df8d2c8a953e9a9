"""The commands `list`, `show`, `replay` and `drop`, from parsed arguments to an exit code.

Results go to stdout; progress, questions and errors to stderr. SIGINT and SIGTERM end a command in
good order: what has been begun is finished, and what was done so far is said.
"""

import asyncio
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import uvloop
from rich.console import Console

from ingest.runtime.broker import BrokerError
from ingest.runtime.interrupt import EXIT_INTERRUPTED, stopped_by_signals
from ingest.runtime.logs import start_logging
from ingest.runtime.process import EXIT_FAILED, exit_now, settings_or_exit
from ingest.runtime.progress import Progress
from ingest.runtime.settings import BrokerSettings
from worker.letters.letter import Filter, Letter
from worker.letters.replay import Tally, drop, replay
from worker.letters.view import LetterTable, json_line, show_lines
from worker.letters.walk import Walk, begin_walk

# Letters that a table lists unless told otherwise. Its summary counts all.
LIST_LIMIT = 1000
_ELSEWHERE = "held or removed by another command"
_OTHERS = "another command was at work: what it held at the start is not counted"


@dataclass(frozen=True, slots=True)
class Session:
    """What every command needs."""

    url: str
    wanted: Filter
    limit: int | None
    stop: asyncio.Event
    out: Console
    err: Console


def run_list(arguments: Namespace) -> int:
    """List letters; returns the exit code."""
    return _run(arguments, _list_json if arguments.json else _list)


def run_show(arguments: Namespace) -> int:
    """Show letters; returns the exit code."""

    async def show(session: Session) -> None:
        await _show(session, full=arguments.full)

    return _run(arguments, show)


def run_replay(arguments: Namespace) -> int:
    """Replay letters; returns the exit code."""
    return _run(arguments, lambda session: _remove(session, replay, "replaying", "replayed"))


def run_drop(arguments: Namespace) -> int:
    """Drop letters after a confirmation; returns the exit code."""
    wanted: Filter = arguments.wanted(arguments)
    if bool(wanted) == arguments.all:
        arguments.refuse("give either a filter or --all")
    if arguments.yes:
        return _run(arguments, _drop)
    if not sys.stdin.isatty():
        arguments.refuse("there is no terminal to ask on: give --yes if you are sure")
    table = LetterTable(0)

    async def count(session: Session) -> None:
        await _read(session, "counting", table.add)
        table.write_summary(session.err)

    code = _run(arguments, count, last=False)
    if code != 0:
        return code
    if table.count == 0:
        sys.stdout.write("0 dropped: no dead letter matches\n")
        return 0
    # No more than are agreed to: others may come meanwhile.
    arguments.limit = min(table.count, arguments.limit or table.count)
    try:
        sys.stderr.write(f"Drop {_letters(arguments.limit)} for good? [y/N] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return EXIT_INTERRUPTED
    if answer.strip().lower() not in ("y", "yes"):
        sys.stdout.write("0 dropped\n")
        return 0
    return _run(arguments, _drop)


def _run(
    arguments: Namespace, command: Callable[[Session], Awaitable[None]], *, last: bool = True
) -> int:
    """Run one command in an event loop of its own and turn its errors into an exit code.

    If it is the last one, or if it fails, the process ends here.
    """
    settings = settings_or_exit(BrokerSettings)
    start_logging(settings.log_level, sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character must not end the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # TextIOWrapper
    plain = {"markup": False, "highlight": False, "emoji": False}

    async def main() -> int:
        stop = asyncio.Event()
        session = Session(
            settings.amqp_url,
            arguments.wanted(arguments),
            arguments.limit,
            stop,
            Console(**plain, soft_wrap=not sys.stdout.isatty()),  # type: ignore[arg-type]
            Console(**plain, stderr=True),  # type: ignore[arg-type]
        )
        try:
            with stopped_by_signals(stop):
                await command(session)
        except BrokerError as error:
            sys.stderr.write(f"Failed: {error}\n")
            return EXIT_FAILED
        return EXIT_INTERRUPTED if stop.is_set() else 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            code = runner.run(main())
            sys.stdout.flush()
        except (BrokenPipeError, SystemExit):  # the latter is what rich makes of the former
            code = EXIT_FAILED  # who read stdout has seen enough
        if last or code != 0:
            # Inside the block, whose end would wait for a broker that has become silent.
            exit_now(code)
    return code


async def _read(session: Session, verb: str, add: Callable[[Letter], None]) -> None:
    """Look at all letters and pass on those that match."""
    with Progress(session.err, verb, "dead letters") as progress:
        async with begin_walk(session.url, session.stop) as walk:
            while (message := await walk.next()) is not None:
                letter = Letter(message)
                if session.wanted.matches(letter):
                    add(letter)
                walk.leave(message)
                progress.show(walk.seen, walk.length)
    if session.stop.is_set():
        _say_unseen(session, walk)
    _say_elsewhere(session, walk)


async def _list(session: Session) -> None:
    table = LetterTable(session.limit or LIST_LIMIT)
    try:
        await _read(session, "reading", table.add)
    finally:
        table.write_rows(session.out)
        table.write_summary(session.out)
    if table.count == 0 and not session.stop.is_set():
        session.out.print("no dead letter matches" if session.wanted else "no dead letters")


async def _list_json(session: Session) -> None:
    """Write lines as they come: what reads them may be as slow as it likes."""
    count = 0
    with Progress(session.err, "reading", "dead letters", bar=False) as progress:
        async with begin_walk(session.url, session.stop) as walk:
            while count != session.limit and (message := await walk.next()) is not None:
                letter = Letter(message)
                if session.wanted.matches(letter):
                    sys.stdout.write(json_line(letter) + "\n")
                    count += 1
                walk.leave(message)
                progress.show(walk.seen, walk.length)
    _say_unseen(session, walk)
    _say_elsewhere(session, walk)


async def _show(session: Session, *, full: bool) -> None:
    shown: list[str] = []
    with Progress(session.err, "looking", "dead letters", bar=False) as progress:
        async with begin_walk(session.url, session.stop) as walk:
            while len(shown) != session.limit and not session.wanted.done_after(shown):
                if (message := await walk.next()) is None:
                    break
                letter = Letter(message)
                if session.wanted.matches(letter):
                    sys.stdout.write("\n" * bool(shown))
                    sys.stdout.writelines(line + "\n" for line in show_lines(letter, full=full))
                    shown.append(letter.sha256)
                walk.leave(message)
                progress.show(walk.seen, walk.length)
    if not shown and not session.stop.is_set():
        session.err.print("no dead letter matches" if session.wanted else "no dead letters")
    if not session.wanted.done_after(shown):
        _say_unseen(session, walk)
    _say_elsewhere(session, walk)


def _say_elsewhere(session: Session, walk: Walk) -> None:
    if walk.elsewhere:
        session.err.print(f"{_letters(walk.elsewhere)} not looked at: {_ELSEWHERE}")
    if walk.others:
        session.err.print(_OTHERS)


def _say_unseen(session: Session, walk: Walk) -> None:
    if walk.unseen:
        why = "" if session.stop.is_set() else " (--limit shows more)"
        session.err.print(f"{_letters(walk.unseen)} not looked at{why}")


async def _drop(session: Session) -> None:
    await _remove(session, drop, "dropping", "dropped")


Remove = Callable[[Walk, Filter, int | None, Tally, Progress], Awaitable[None]]


async def _remove(session: Session, remove: Remove, verb: str, done: str) -> None:
    """Replay or drop, and say in the end, whatever the end, how many."""
    walk, tally = None, Tally()
    try:
        with Progress(session.err, verb, "dead letters") as progress:
            async with begin_walk(session.url, session.stop) as walk:
                _announce(session, walk, verb)
                if walk.others:
                    session.err.print(_OTHERS)
                await remove(walk, session.wanted, session.limit, tally, progress)
    finally:
        if walk is not None:
            left = walk.length - walk.elsewhere - tally.done - tally.failed
            failed = f", {tally.failed:,} failed and left" if tally.failed else ""
            elsewhere = f", {walk.elsewhere:,} {_ELSEWHERE}" if walk.elsewhere else ""
            session.out.print(f"{tally.done:,} {done}, {left:,} left{failed}{elsewhere}")


def _announce(session: Session, walk: Walk, verb: str) -> None:
    what = f"those that match among {_letters(walk.length)}"
    if not session.wanted:
        what = f"all {_letters(walk.length)}" if walk.length != 1 else "1 dead letter"
    most = "" if session.limit is None else f", {session.limit:,} at most"
    session.err.print(f"{verb} {what}{most}")


def _letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"
