"""Connections whose every byte is the test's own, for what an HTTP client would never send."""

import socket
import zlib
from types import TracebackType
from typing import Self

from multidict import CIMultiDict, CIMultiDictProxy

from deploy.local.ports import LOOPBACK
from tests.harness.client import Answer

PATH = "/v2/lm/metrics"
ANSWER_TIMEOUT_S = 5.0
USUAL_HEADERS = (
    b"Host: localhost\r\nAI-Resource-Group: wire\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\n"
)


def request(line: str, headers: bytes = b"", body: bytes = b"") -> bytes:
    """Make the bytes of a request: what is in `headers` comes after the usual ones."""
    return line.encode() + b"\r\n" + USUAL_HEADERS + headers + b"\r\n" + body


def patch(headers: bytes = b"", body: bytes = b"") -> bytes:
    """Make the bytes of a PATCH; nothing is added for the body."""
    return request(f"PATCH {PATH} HTTP/1.1", headers, body)


def exchange(port: int, sent: bytes, *, half_close: bool = False) -> Answer | None:
    """Send bytes on a connection of their own, read one answer; None if there was none."""
    with Wire(port) as wire:
        wire.send(sent)
        if half_close:
            wire.half_close()
        return wire.answer()


def raw_deflate(data: bytes) -> bytes:
    """Compress without the zlib header, as some clients do for "deflate"."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


class Wire:
    """One connection to a gateway. Reading fails after ANSWER_TIMEOUT_S."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), timeout=ANSWER_TIMEOUT_S)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; that the gateway has closed the connection already is no failure."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def half_close(self) -> None:
        """Send no more, but go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def read_all(self) -> bytes:
        """Read until the connection is closed: for an answer without the body it announces."""
        return self._file.read()

    def answer(self, *, bodiless: bool = False) -> Answer | None:
        """Read one response; None if the connection was closed without one.

        The answer to a HEAD is `bodiless`: it announces a body that it does not have.
        """
        try:
            status_line = self._file.readline()
        except ConnectionResetError:
            return None
        if not status_line:
            return None
        version, status, *_ = status_line.split(maxsplit=2)
        assert version.startswith(b"HTTP/"), status_line
        headers: CIMultiDict[str] = CIMultiDict()
        while (line := self._file.readline().rstrip(b"\r\n")) != b"":
            name, _, value = line.decode().partition(":")
            headers.add(name, value.strip())
        body = b"" if bodiless else self._file.read(int(headers.get("Content-Length", 0)))
        return Answer(int(status), CIMultiDictProxy(headers), body)
