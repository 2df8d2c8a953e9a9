"""A front that ends TLS before a server: whoever it is by its certificate of the moment."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Self

from deploy.local.ports import LOOPBACK
from tests.security.certificates import Signed


class Front:
    """Forward TLS connections to a TLS server. Use it with `async with`.

    `forwarded_bytes` counts what clients said once they had accepted the certificate.
    """

    def __init__(self, port: int, authority: Path) -> None:
        """Prepare a front of the server at `port`, which `authority` has signed."""
        self._target = port
        self._upstream = ssl.create_default_context(cafile=authority)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.forwarded_bytes = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def present(self, signed: Signed) -> None:
        """Close what there is and show this certificate from now on, on the same port."""
        await self._close()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(signed.certificate, signed.key)
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError):
                upstream, downstream = await asyncio.open_connection(
                    LOOPBACK, self._target, ssl=self._upstream
                )
                try:
                    await asyncio.gather(
                        self._pipe(reader, downstream, count=True),
                        self._pipe(upstream, writer, count=False),
                    )
                finally:
                    downstream.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool
    ) -> None:
        while chunk := await reader.read(65536):
            self.forwarded_bytes += len(chunk) if count else 0
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError  # one side is gone: so is the other
