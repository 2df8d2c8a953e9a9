"""Run the command, in a pipe or on a terminal, and put letters where it looks for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, FieldValue

from ingest.contract.message import CONTENT_TYPE, encode_entry, encode_message, new_message_id
from ingest.contract.topology import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, ROUTING_KEY
from tests.harness import commands
from tests.harness.commands import DEADLINE_S, Command, Done
from tests.harness.services import Site
from tests.queue.broker_client import length

SEQUENCE = 1_790_000_000_000_000_000


def environment(url: str) -> dict[str, str]:
    """Return the variables that the command needs: it needs no database."""
    return {"AMQP_URL": url}


def _command(variables: dict[str, str]) -> Command:
    return Command(("worker", "dead-letters"), variables)


async def run(site: Site, *arguments: str) -> Done:
    """Run a command in a pipe, without a terminal."""
    return await run_with(environment(site.amqp_url), *arguments)


async def run_with(variables: dict[str, str], *arguments: str) -> Done:
    """Run a command in a pipe with some variables."""
    return await commands.run_in_pipe(_command(variables), *arguments)


@asynccontextmanager
async def started(
    variables: dict[str, str], *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command in a pipe; it is killed at the end of the block, if it still runs."""
    async with commands.started(_command(variables), *arguments) as process:
        yield process


async def run_on_terminal(
    site: Site, *arguments: str, asked: str = "", answer: bytes = b""
) -> Done:
    """Run a command on a terminal of 80 columns; when it has `asked`, type the answer."""
    command = _command(environment(site.amqp_url))
    return await commands.run_on_terminal(command, *arguments, asked=asked, answer=answer)


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
