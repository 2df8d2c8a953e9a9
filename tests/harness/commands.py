"""The product's commands, run as people run them: in a pipe, or on a terminal."""

import asyncio
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.harness.services import ROOT

DEADLINE_S = 60
COLUMNS = 80


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended and what it wrote; on a terminal all of it is `out`."""

    code: int
    out: str
    err: str = ""

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Command:
    """`python -m` with some words, and the whole environment it runs in."""

    words: tuple[str, ...]
    variables: dict[str, str]

    @property
    def line(self) -> list[str]:
        """The command line to begin with."""
        return [sys.executable, "-m", *self.words]

    @property
    def environment(self) -> dict[str, str]:
        """The environment, with what any process needs."""
        usual = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "TERM": "xterm"}
        return usual | self.variables


async def run_in_pipe(command: Command, *arguments: str, given: bytes | None = None) -> Done:
    """Run a command without a terminal; it must never show a traceback, nor escape sequences."""
    async with started(command, *arguments, takes_input=given is not None) as process:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate(given)
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    assert b"\x1b" not in out + err
    return Done(process.returncode, out.decode(), err.decode())


async def run_in_shell(script: str, command: Command, *arguments: str) -> Done:
    """Run a shell script in which `"$@"` is a command."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", script, "sh", *command.line, *arguments, env=command.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def started(
    command: Command, *arguments: str, takes_input: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command in a pipe; it is killed at the end of the block, if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *command.line, *arguments, env=command.environment,
        stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run_on_terminal(
    command: Command, *arguments: str, asked: str = "", answer: bytes = b""
) -> Done:
    """Run a command on a terminal of 80 columns; when it has `asked`, type the answer."""
    return await asyncio.to_thread(_on_terminal, command, arguments, asked, answer)


def _on_terminal(command: Command, arguments: tuple[str, ...], asked: str, answer: bytes) -> Done:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    with subprocess.Popen(
        [*command.line, *arguments], env=command.environment,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        # Ctrl-C is a matter of the terminal that a process group belongs to.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    ) as process:  # fmt: skip
        os.close(theirs)
        written = b""
        overdue = threading.Timer(DEADLINE_S, process.kill)
        overdue.start()
        try:
            while part := os.read(ours, 65536):
                written += part
                if answer and asked.encode() in written:
                    os.write(ours, answer)
                    answer = b""
        except OSError:  # EIO: the other end is closed
            pass
        finally:
            os.close(ours)
        code = process.wait()
        overdue.cancel()
    assert b"Traceback" not in written, written.decode()
    return Done(code, written.decode())


def visible(text: str) -> list[str]:
    """Return the lines of a terminal's output without its escape sequences and what they erase."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")
    return [line.rpartition("\r")[2] for line in plain.split("\n")]
