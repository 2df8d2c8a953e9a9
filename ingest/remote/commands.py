"""What both commands begin and end with: consoles, signals, the event loop, the exit code.

Results go to stdout; progress and errors to stderr.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import BinaryIO, NoReturn

import uvloop
from rich.console import Console

from ingest.remote.gateway import GatewayClient, Target
from ingest.remote.query import Querying
from ingest.remote.send import Sending
from ingest.runtime.interrupt import EXIT_INTERRUPTED, stopped_by_signals
from ingest.runtime.process import EXIT_FAILED, exit_now


def run_send(target: Target, stream: BinaryIO, total_bytes: int | None, connections: int) -> int:
    """Send what is in a stream, of so many bytes if that is known; ends with the exit code."""

    async def send(client: GatewayClient, stop: asyncio.Event, err: Console) -> int:
        sending = Sending(client, connections, stop, err)
        code = await sending.run(stream, total_bytes)
        sys.stdout.write(sending.tally.sentence() + "\n")
        return code

    _run(target, connections, send)


def run_query(target: Target, parameters: Mapping[str, str], *, as_json: bool) -> int:
    """Print what the gateway finds; ends with the exit code."""
    as_table = sys.stdout.isatty() and not as_json

    async def query(client: GatewayClient, stop: asyncio.Event, err: Console) -> int:
        querying = asyncio.create_task(Querying(client, err).run(parameters, as_table=as_table))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((querying, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if querying.done():
            return querying.result()
        # Unlike an update that is under way, nobody needs to know what becomes of a question.
        querying.cancel()
        await asyncio.wait((querying,))
        return EXIT_INTERRUPTED

    _run(target, 1, query)


def _run(
    target: Target,
    connections: int,
    command: Callable[[GatewayClient, asyncio.Event, Console], Awaitable[int]],
) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character must not end the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # TextIOWrapper
    err = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    said: set[str] = set()

    def note(problem: str) -> None:
        """Say why something takes longer, but each thing once."""
        if problem not in said:
            said.add(problem)
            err.print(problem)

    async def main() -> int:
        stop = asyncio.Event()
        with stopped_by_signals(stop):
            async with GatewayClient(target, connections, stop, note) as client:
                return await command(client, stop, err)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            code = runner.run(main())
            sys.stdout.flush()
        except (BrokenPipeError, SystemExit):  # the latter is what rich makes of the former
            code = EXIT_FAILED  # who read stdout has seen enough
        # Inside the block, whose end would wait for a thread that reads a silent stdin.
        exit_now(code)
