"""A TCP proxy that tests cut, between a process and a server."""

import asyncio
from contextlib import suppress
from typing import Self

from deploy.local.ports import LOOPBACK


class Proxy:
    """Forward connections to a port of this machine. Use it with `async with`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            upstream, downstream = await asyncio.open_connection(LOOPBACK, self._target)
            self._writers |= {writer, downstream}
            await asyncio.gather(self._pipe(reader, downstream), self._pipe(upstream, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)
