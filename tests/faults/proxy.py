"""A TCP proxy that stands for a network: tests cut it, silence it and slow it down."""

import asyncio
from contextlib import suppress
from typing import Self

from deploy.local.ports import LOOPBACK

_CHUNK_BYTES = 64 * 1024
# What a slow link lets through at a time, and the pause before each.
_SLOW_CHUNK_BYTES = 8 * 1024
_SLOW_PAUSE_S = 0.05


class Proxy:
    """Forward connections to the first of some ports of this machine that answers.

    Use it with `async with`. One port is a link; several are a balancer before a cluster.
    """

    def __init__(self, *ports: int) -> None:
        self._targets = ports
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        # Connections wait for the gate they were made with; `strand` leaves them a shut one.
        self._gate = _open_gate()
        self._stranded: list[asyncio.Event] = []
        self._slow = False
        self._closing = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._closing = True
        self.cut()
        for gate in (*self._stranded, self._gate):
            gate.set()
        await asyncio.gather(*self._serving)

    @property
    def port(self) -> int:
        """The port to connect to instead of the server's."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> None:
        """Break every connection that there is; new ones are forwarded as before."""
        for writer in self._writers:
            writer.transport.abort()

    def silence(self) -> None:
        """Let nothing through in either direction, no end of a connection either."""
        self._gate.clear()

    def strand(self) -> None:
        """Let nothing through on the connections that there are, ever; new ones are forwarded."""
        self._gate.clear()
        self._stranded.append(self._gate)
        self._gate = _open_gate()

    def slow_down(self) -> None:
        """Let everything through, a little at a time."""
        self._slow = True

    def restore(self) -> None:
        """Forward as before; what was held back arrives."""
        self._slow = False
        self._gate.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._writers.add(writer)
        try:
            gate = self._gate
            await gate.wait()
            if self._closing:
                raise ConnectionAbortedError
            upstream, downstream = await self._connect()
            self._writers.add(downstream)
            await asyncio.gather(
                self._pipe(reader, downstream, gate), self._pipe(upstream, writer, gate)
            )
        except OSError:
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            self._serving.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for port in self._targets[:-1]:
            with suppress(OSError):
                return await asyncio.open_connection(LOOPBACK, port)
        return await asyncio.open_connection(LOOPBACK, self._targets[-1])

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_SLOW_CHUNK_BYTES if self._slow else _CHUNK_BYTES):
                if self._slow:
                    await asyncio.sleep(_SLOW_PAUSE_S)
                await gate.wait()
                writer.write(chunk)
                await writer.drain()
        await gate.wait()
        writer.close()
        self._writers.discard(writer)


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate
