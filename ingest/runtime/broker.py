"""The broker connection: made, declared, used, lost, made again.

aio-pika's robust connections are not used: they hide a loss that the gateway must answer for
(confirms lost in a reconnect are not replayed) and leave the worker guessing which deliveries
are still its own. Here a connection lives exactly as long as one call of its user.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from yarl import URL

from ingest.contract.topology import EXCHANGES, QUEUES

log = logging.getLogger(__name__)

# Every way in which the libraries below report that the broker could not be reached or used;
# EOFError is asyncio's, when the peer hangs up in the middle of the handshake.
BROKER_ERRORS = (*CONNECTION_EXCEPTIONS, TimeoutError, EOFError)

# Seconds. A dead peer is noticed after about three heartbeats; an abandoned socket is not worth
# more waiting than that.
HEARTBEAT_S = 10
CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 3.0


async def connect(url: str, name: str) -> AbstractConnection:
    """Open a connection with a deadline and a heartbeat; `name` shows in the broker's lists.

    Raises:
        BROKER_ERRORS: the broker is away, refuses the credentials, or does not answer in time.
    """
    address = URL(url)
    address = address.update_query(
        {"heartbeat": str(HEARTBEAT_S), "name": name} | dict(address.query)
    )
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        return await aio_pika.connect(address)


async def close(connection: AbstractConnection) -> None:
    """Close a connection; give up on a peer that does not answer."""
    with suppress(*BROKER_ERRORS):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await connection.close()


async def declare_topology(channel: AbstractChannel) -> None:
    """Declare every exchange and queue of the contract. Safe to repeat."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        for exchange in EXCHANGES:
            await channel.declare_exchange(exchange.name, "direct", durable=True)
        for queue in QUEUES:
            declared = await channel.declare_queue(
                queue.name, durable=True, arguments=dict(queue.arguments)
            )
            await declared.bind(queue.exchange.name, queue.routing_key)


async def keep_connected(
    url: str, name: str, use: Callable[[AbstractConnection], Awaitable[None]]
) -> None:
    """Keep a connection for `use`, for ever: whenever `use` ends, connect anew and call again.

    `use` must return or raise one of BROKER_ERRORS when its connection has become useless.
    Attempts are spaced by a backoff that grows to BACKOFF_MAX_S and starts anew after a
    connection that worked. Only cancellation ends this.
    """
    clock = asyncio.get_running_loop().time
    failures = 0
    while True:
        used_since = math.inf
        try:
            connection = await connect(url, name)
            try:
                log.info("connected to the broker", extra={"connection": name})
                used_since = clock()
                await use(connection)
            finally:
                await close(connection)
            reason = "the connection was closed"
        except BROKER_ERRORS as error:
            reason = f"{type(error).__name__}: {error}"
        failures = 0 if clock() - used_since > BACKOFF_MAX_S else failures + 1
        pause = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(failures, 10)) * random.uniform(0.5, 1)  # noqa: S311 - jitter
        log.warning(
            "no connection to the broker: trying again",
            extra={"connection": name, "reason": reason[:300], "pause_s": round(pause, 2)},
        )
        await asyncio.sleep(pause)
