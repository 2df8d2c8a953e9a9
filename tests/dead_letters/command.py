"""Run the command, in a pipe or on a terminal, and put letters where it looks for them."""

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
from datetime import UTC, datetime
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, FieldValue

from ingest.contract.message import CONTENT_TYPE, encode_entry, encode_message, new_message_id
from ingest.contract.topology import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, ROUTING_KEY
from tests.harness.services import ROOT, Site
from tests.queue.broker_client import length

DEADLINE_S = 60
SEQUENCE = 1_790_000_000_000_000_000
COLUMNS = 80
_COMMAND = (sys.executable, "-m", "worker", "dead-letters")


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


def environment(url: str) -> dict[str, str]:
    """Return the command's whole environment: it needs no database."""
    return {"AMQP_URL": url, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "TERM": "xterm"}


async def run(site: Site, *arguments: str) -> Done:
    """Run a command in a pipe, without a terminal."""
    return await run_with(environment(site.amqp_url), *arguments)


async def run_with(variables: dict[str, str], *arguments: str) -> Done:
    """Run a command in a pipe with an environment; it must never show a traceback."""
    async with started(variables, *arguments) as process, asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    assert b"\x1b" not in out + err
    return Done(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def started(
    variables: dict[str, str], *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command in a pipe; it is killed at the end of the block, if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, *arguments, env=variables, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run_on_terminal(
    site: Site, *arguments: str, asked: str = "", answer: bytes = b""
) -> Done:
    """Run a command on a terminal of 80 columns; when it has `asked`, type the answer."""
    return await asyncio.to_thread(_on_terminal, site, arguments, asked, answer)


def _on_terminal(site: Site, arguments: tuple[str, ...], asked: str, answer: bytes) -> Done:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    with subprocess.Popen(
        [*_COMMAND, *arguments], env=environment(site.amqp_url),
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


def message(*execution_ids: str, number: int = 0, group: str = "default", **more: Any) -> bytes:
    """Return a message with an entry for each execution, of one point at step `number`."""
    entries = []
    for execution_id in execution_ids:
        point = {"name": "loss", "step": number, "value": 1, "timestamp": "2026-01-01T00:00:00Z"}
        resource = {"executionId": execution_id, "metrics": [point], **more}
        entries.append(encode_entry(SEQUENCE + number, "a", group, orjson.dumps(resource)))
    return encode_message(new_message_id(SEQUENCE + number, b"test"), entries)


def letter(body: bytes, reason: str, detail: str = "", group: str = "", execution: str = "") -> Any:
    """Return a dead letter as a worker publishes it."""
    headers: dict[str, FieldValue] = {
        "reason": reason, "detail": detail, "resourceGroup": group, "executionId": execution,
    }  # fmt: skip
    return aio_pika.Message(
        body,
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        timestamp=datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC),
        headers=headers,
    )


async def put_letters(channel: AbstractChannel, *letters: aio_pika.Message) -> None:
    """Put letters on the dead-letter queue, in order."""
    exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE.name, ensure=False)
    for start in range(0, len(letters), 200):
        async with asyncio.TaskGroup() as tasks:
            for one in letters[start : start + 200]:
                tasks.create_task(exchange.publish(one, ROUTING_KEY))


async def until_dead(channel: AbstractChannel, count: int) -> None:
    """Wait until so many dead letters are ready."""
    async with asyncio.timeout(DEADLINE_S):
        while await length(channel, DEAD_LETTER_QUEUE) != count:
            await asyncio.sleep(0.02)
