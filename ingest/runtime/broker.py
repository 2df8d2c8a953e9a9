"""The broker connection: made, declared, used, lost, made again.

aio-pika's robust connections are not used: they hide a loss that the gateway must answer for
(confirms lost in a reconnect are not replayed) and leave the worker guessing which deliveries
are still its own. Here a connection lives exactly as long as one call of its user.
"""

import asyncio
import logging
import math
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError, PublishError
from yarl import URL

from ingest.contract.topology import DEAD_LETTER_QUEUE, EXCHANGES, UPDATES_QUEUE, Queue
from ingest.runtime.backoff import backoff_s

log = logging.getLogger(__name__)

# Seconds. A dead peer is noticed after about three heartbeats; an abandoned socket is not worth
# more waiting than that.
HEARTBEAT_S = 10
CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 3.0
_CANCEL_AGAIN_S = 0.2


class BrokerError(Exception):
    """The broker could not be reached or did not do what was asked, or nobody knows."""


class QueueRefusedError(BrokerError):
    """The queue itself said no (nack), for example since it is full. The connection works."""


class QueueGoneError(BrokerError):
    """The message was returned: no queue is bound to its routing key. The connection works."""


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn whatever aio-pika and aiormq raise inside the block into BrokerError.

    When a connection closes, aiormq ends what waits for it with the reason of the close: often an
    error of its own, but also CancelledError, though nobody cancelled the waiting task, or a bare
    Exception (FutureStore.reject_all in its base.py). EOFError is asyncio's, when the peer hangs
    up during the handshake.
    """
    try:
        yield
    except PublishError as error:  # a DeliveryError, too
        raise QueueGoneError("the message was returned: its queue is gone") from error
    except DeliveryError as error:
        raise QueueRefusedError("the queue refused the message") from error
    except (*CONNECTION_EXCEPTIONS, TimeoutError, EOFError) as error:
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            why = f"the broker's certificate is refused: {error.__cause__.verify_message}"
            raise BrokerError(why[:300]) from error
        if isinstance(error, TimeoutError) and not str(error):  # as asyncio raises it
            raise BrokerError("the broker did not answer in time") from error
        raise BrokerError(f"{type(error).__name__}: {error}"[:300]) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokerError("the connection was closed") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise BrokerError("the connection was closed") from error


async def connect(url: str, name: str) -> AbstractConnection:
    """Open a connection with a deadline and a heartbeat; `name` shows in the broker's lists.

    With amqps, aiormq checks the server's certificate and its host name: against the URL's cafile,
    capath and cadata, or else the system's authorities.

    Raises:
        BrokerError: the broker is away, refuses the credentials, or does not answer in time.
    """
    address = URL(url)
    address = address.update_query(
        {"heartbeat": str(HEARTBEAT_S), "name": name} | dict(address.query)
    )
    connection = aio_pika.Connection(address)
    try:
        with broker_errors():
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.connect()
    except BaseException:
        # Else it closes itself when it is collected, which fails in a thread without a loop.
        await close(connection)
        raise
    return connection


async def close(connection: AbstractConnection) -> None:
    """Close a connection; leave a peer that does not answer to the event loop.

    A task of its own, since the close does not end by being cancelled: over TLS, it waits for the
    peer's part in it for half a minute.
    """

    async def say_goodbye() -> None:
        with suppress(BrokerError), broker_errors():
            await connection.close()

    closing = asyncio.create_task(say_goodbye())
    try:
        await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT_S)
    finally:
        closing.cancel()


async def declare_topology(
    channel: AbstractChannel, updates: Iterable[Queue] = (UPDATES_QUEUE,)
) -> None:
    """Declare all that the contract names, of the queues of updates those given. Safe to repeat.

    Raises whatever the libraries do: see broker_errors.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        for exchange in EXCHANGES:
            await channel.declare_exchange(exchange.name, "direct", durable=True)
    for queue in (DEAD_LETTER_QUEUE, *updates):
        await declare_queue(channel, queue)


async def declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    """Declare one queue, with its binding. Safe to repeat.

    Raises whatever the libraries do: see broker_errors.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        declared = await channel.declare_queue(
            queue.name, durable=True, arguments=dict(queue.arguments)
        )
        await declared.bind(queue.exchange.name, queue.routing_key)


async def keep_connected(
    url: str, name: str, use: Callable[[AbstractConnection], Awaitable[None]]
) -> None:
    """Keep a connection for `use`, for ever: whenever `use` ends, connect anew and call again.

    `use` must return, or let an error of the libraries pass, when its connection is useless.
    Attempts are spaced by a backoff that grows to BACKOFF_MAX_S and starts anew after a
    connection that worked. Only cancellation ends this.
    """
    keeping = asyncio.create_task(_keep_connected(url, name, use))
    try:
        await asyncio.wait({keeping})
    finally:
        # Once is not enough: asyncio.wait_for, which the libraries use, loses a cancellation that
        # comes just as it ends (https://github.com/python/cpython/issues/81839, until Python 3.12).
        while not keeping.done():
            keeping.cancel()
            await asyncio.wait({keeping}, timeout=_CANCEL_AGAIN_S)
    keeping.result()


async def _keep_connected(
    url: str, name: str, use: Callable[[AbstractConnection], Awaitable[None]]
) -> None:
    clock = asyncio.get_running_loop().time
    failures = 0
    while True:
        used_since = math.inf
        try:
            connection = await connect(url, name)
            try:
                log.info("connected to the broker", extra={"connection": name})
                used_since = clock()
                with broker_errors():
                    await use(connection)
            finally:
                await close(connection)
            reason = "the connection was closed"
        except BrokerError as error:
            reason = str(error)
        failures = 0 if clock() - used_since > BACKOFF_MAX_S else failures + 1
        pause = backoff_s(failures, BACKOFF_MIN_S, BACKOFF_MAX_S)
        log.warning(
            "no connection to the broker: trying again",
            extra={"connection": name, "reason": reason[:300], "pause_s": round(pause, 2)},
        )
        await asyncio.sleep(pause)
