"""The command `send`: from an input to accepted updates, and to an exit code."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO

import orjson
from rich.console import Console

from ingest.errors import Error
from ingest.remote.gateway import GatewayClient, RefusedError, StoppedError, UnavailableError
from ingest.remote.outbox import Body, Outbox
from ingest.remote.updates import Malformed, Update, UpdateReader
from ingest.runtime.interrupt import EXIT_INTERRUPTED
from ingest.runtime.printable import printable
from ingest.runtime.process import EXIT_FAILED
from ingest.runtime.progress import Progress

EXIT_REFUSED = 3
_READ_BYTES = 256 * 1024
# Read ahead no further than this.
_MAX_WAITING_BYTES = 16 * 1024 * 1024
# Of refusals, so many are shown, with so many details each.
_MAX_SHOWN = 20
_MAX_DETAILS = 5
# What is refused for what is in it; anything else would be answered to every update.
_OF_THE_BODY = {one.value.code for one in (Error.BODY_MALFORMED, Error.BODY_INVALID)}


class InputError(Exception):
    """The input cannot be read to its end."""


@dataclass(slots=True)
class Tally:
    """What became of the input so far. An update is settled once all its pieces are."""

    read: int = 0
    accepted: int = 0
    refused: int = 0
    requests: int = 0
    settled_bytes: int = 0

    def sentence(self) -> str:
        """Say it in one line."""
        unsent = self.read - self.accepted - self.refused
        others = [f"{self.refused:,} refused"] if self.refused else []
        others += [f"{unsent:,} left"] if unsent else []
        said = f"{self.accepted:,} of {self.read:,} updates accepted in {self.requests:,} requests"
        return ", ".join([said, *others])


@dataclass(slots=True)
class _Fate:
    """What is still open about an update."""

    pieces: int
    refused: bool = False


class Sending:
    """Read an input and send it, over several connections."""

    def __init__(
        self, client: GatewayClient, connections: int, stop: asyncio.Event, err: Console
    ) -> None:
        self.tally = Tally()
        self._client = client
        self._connections = connections
        self._stop = stop
        self._err = err
        self._outbox = Outbox()
        self._fates: dict[Update, _Fate] = {}
        self._read_all = False
        # Set whenever something has changed that somebody may wait for.
        self._changed = asyncio.Condition()
        self._failure: Exception | None = None

    async def run(self, stream: BinaryIO, total_bytes: int | None) -> int:
        """Send all of a stream, of so many bytes if that is known; returns the exit code."""
        with Progress(self._err, "sending", "bytes") as progress:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(stream))
                for _ in range(self._connections):
                    tasks.create_task(self._send_bodies(progress, total_bytes))
        if self._failure is not None:
            self._err.print(f"Failed: {self._failure}")
            for detail in getattr(self._failure, "details", ())[:_MAX_DETAILS]:
                self._err.print(f"  {detail}")
            return EXIT_REFUSED if isinstance(self._failure, RefusedError) else EXIT_FAILED
        if self._stop.is_set():
            return EXIT_INTERRUPTED
        return EXIT_REFUSED if self.tally.refused else 0

    async def _read(self, stream: BinaryIO) -> None:
        reader = UpdateReader()
        async for piece in self._pieces_of(stream):
            for item in reader.feed(piece) if piece else reader.finish():
                self._take(item)
            await self._tell()
            async with self._changed:
                await self._changed.wait_for(
                    lambda: self._outbox.waiting_bytes < _MAX_WAITING_BYTES or self._stop.is_set()
                )
        self._read_all = True
        await self._tell()

    async def _pieces_of(self, stream: BinaryIO) -> AsyncIterator[bytes]:
        """Yield what can be read, an empty piece at the end; nothing more once it is to stop."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            piece = b"more"
            while piece and not self._stop.is_set():
                reading = asyncio.create_task(
                    asyncio.to_thread(stream.read1, _READ_BYTES)  # type: ignore[attr-defined]
                )
                await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():  # its thread goes on waiting, and ends with the process
                    return
                try:
                    piece = reading.result()
                except OSError as error:
                    self._fail(InputError(f"cannot read on: {error.strerror or error}"))
                    return
                yield piece
        finally:
            stopping.cancel()

    def _take(self, item: Update | Malformed) -> None:
        self.tally.read += 1
        reason = "is nested more deeply than any MetricResource"
        if isinstance(item, Malformed):
            reason = item.reason
        else:
            with suppress(orjson.JSONEncodeError):
                self._fates[item] = _Fate(self._outbox.put(item))
                return
        self._refuse(item.place, reason, [])
        self.tally.settled_bytes += item.bytes

    def _fail(self, error: Exception) -> None:
        """End everything; the others finish what they have begun."""
        self._failure = self._failure or error
        self._stop.set()

    async def _send_bodies(self, progress: Progress, total_bytes: int | None) -> None:
        while (body := await self._next_body()) is not None:
            try:
                await self._send(body)
            except StoppedError:
                return
            except (RefusedError, UnavailableError) as error:
                self._fail(error)
            finally:
                self._outbox.done(body)
                await self._tell()
            progress.show(self.tally.settled_bytes, total_bytes)

    async def _next_body(self) -> Body | None:
        async with self._changed:
            while not self._stop.is_set():
                body = self._outbox.take()
                if body is not None:
                    return body
                if self._read_all and self._outbox.is_empty():
                    return None
                await self._changed.wait()
        return None

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _send(self, body: Body) -> None:
        """Send a body; if it is refused, find out which of its updates are to blame."""
        try:
            self.tally.requests += 1
            await self._client.patch(body.encode())
        except RefusedError as error:
            # A proxy may have a limit of its own, and no code for it.
            too_large = error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            if not too_large and error.code not in _OF_THE_BODY:
                raise
            if len(body.pieces) > 1:
                for half in body.halves():
                    await self._send(half)
                return
            update = body.pieces[0].update
            if not self._fates[update].refused:
                self._refuse(update.place, str(error), error.details)
                self._fates[update].refused = True
        for piece in body.pieces:
            self._settle(piece.update)

    def _settle(self, update: Update) -> None:
        fate = self._fates[update]
        fate.pieces -= 1
        if fate.pieces == 0:
            del self._fates[update]
            self.tally.accepted += not fate.refused
            self.tally.settled_bytes += update.bytes

    def _refuse(self, place: str, reason: str, details: list[str]) -> None:
        self.tally.refused += 1
        if self.tally.refused > _MAX_SHOWN:
            return
        self._err.print(f"{place}: {printable(reason)}")
        for detail in details[:_MAX_DETAILS]:
            self._err.print(f"  {detail}")
        if len(details) > _MAX_DETAILS:
            self._err.print(f"  and {len(details) - _MAX_DETAILS:,} more")
        if self.tally.refused == _MAX_SHOWN:
            self._err.print("further refusals are counted only")
