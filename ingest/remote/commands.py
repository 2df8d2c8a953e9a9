"""What both commands begin and end with: consoles, signals, the event loop, the exit code.

Results go to stdout; progress and errors to stderr.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import BinaryIO, NoReturn

import uvloop
from rich.console import Console

from ingest.remote.gateway import GatewayClient, Target
from ingest.remote.query import Querying
from ingest.remote.send import Sending
from ingest.runtime.interrupt import ended_by_signals, stopped_by_signals
from ingest.runtime.process import EXIT_FAILED, exit_now


def run_send(target: Target, stream: BinaryIO, total_bytes: int | None, connections: int) -> int:
    """Send what is in a stream, of so many bytes if that is known; ends with the exit code."""

    async def send(client: GatewayClient, stop: asyncio.Event, err: Console) -> int:
        sending = Sending(client, connections, stop, err)
        code = await sending.run(stream, total_bytes)
        with suppress(OSError):  # whoever reads this or not, the updates are where they are
            sys.stdout.write(sending.tally.sentence() + "\n")
            sys.stdout.flush()
        return code

    _run(target, connections, send, stopped_by_signals)


def run_query(target: Target, parameters: Mapping[str, str], *, as_json: bool) -> int:
    """Print what the gateway finds; ends with the exit code."""

    async def query(client: GatewayClient, _: asyncio.Event, err: Console) -> int:
        as_table = sys.stdout.isatty() and not as_json
        code = await Querying(client, err).run(parameters, as_table=as_table)
        sys.stdout.flush()
        return code

    # Unlike an update that is under way, nobody needs to know what becomes of a question.
    _run(target, 1, query, lambda _: ended_by_signals())


def _run(
    target: Target,
    connections: int,
    command: Callable[[GatewayClient, asyncio.Event, Console], Awaitable[int]],
    signals: Callable[[asyncio.Event], AbstractContextManager[None]],
) -> NoReturn:
    _prepare_streams()
    err = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    said: set[str] = set()

    def note(problem: str) -> None:
        """Say why something takes longer, but each thing once."""
        if problem not in said:
            said.add(problem)
            err.print(problem)

    async def main() -> int:
        stop = asyncio.Event()
        with signals(stop):
            async with GatewayClient(target, connections, stop, note) as client:
                return await command(client, stop, err)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            code = runner.run(main())
        except (BrokenPipeError, SystemExit):  # the latter is what rich makes of the former
            code = EXIT_FAILED  # who read stdout has seen enough
        except OSError as error:  # of stdout: what else there is, is told apart below
            err.print(f"Failed: cannot write: {error.strerror or error}")
            code = EXIT_FAILED
        # Inside the block, whose end would wait for a thread that reads a silent stdin.
        exit_now(code)


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - until the end
        # A terminal that lacks a character must not end the command.
        getattr(sys, name).reconfigure(errors="backslashreplace")
