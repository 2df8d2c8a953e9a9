"""An HTTP client that measures answers: by a fixed schedule (open loop), or each after the other.

wrk sends when an answer has come, so a slow server is asked less. Here a request has its time on a
schedule, whatever became of those before it, and its latency counts from that time, not from when a
connection was free at last. Plain sockets and select(2), whose timeout is finer than a millisecond.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Self

from deploy.local.ports import LOOPBACK
from tests.bench.bodies import PATCH

_RECEIVE_BYTES = 65536
_TIMEOUT_S = 30.0
_ACCEPTED = b"HTTP/1.1 204"
_END = b"\r\n\r\n"


class AnswerError(Exception):
    """A request was not answered 204, or not at all."""


class Connections:
    """Kept connections to a gateway's port. Use it with `with`."""

    def __init__(self, port: int, number: int = 64) -> None:
        self._sockets = [
            socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_S) for _ in range(number)
        ]
        for one in self._sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._free = deque(self._sockets)
        self._due_at: dict[socket.socket, float] = {}
        self._received: dict[socket.socket, bytes] = {}
        self.latencies_s: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()

    def send_all(self, bodies: Iterator[bytes], rate: float | None = None) -> None:
        """Send updates, and wait for all answers.

        With a rate, as many per second as that, by a schedule; else as fast as they are answered.

        Raises:
            AnswerError: one was not answered 204.
        """
        started = time.perf_counter()
        schedule = (started + number / rate if rate else 0.0 for number in count())
        due, body = next(schedule), next(bodies, None)
        while body is not None or self._due_at:
            now = time.perf_counter()
            while body is not None and due <= now and self._free:
                self._send(body, due or now)
                due, body = next(schedule), next(bodies, None)
            waits = body is not None and self._free
            self._receive(max(0.0, due - time.perf_counter()) if waits else _TIMEOUT_S)

    def _send(self, body: bytes, due: float) -> None:
        connection = self._free.popleft()
        self._due_at[connection] = due
        self._received[connection] = b""
        connection.sendall(request(body))

    def _receive(self, timeout_s: float) -> None:
        readable, _, _ = select.select(self._due_at, [], [], timeout_s)
        if not readable and timeout_s == _TIMEOUT_S:
            raise AnswerError(f"no answer within {_TIMEOUT_S:g} s")
        for connection in readable:
            answer = self._received[connection] + connection.recv(_RECEIVE_BYTES)
            self._received[connection] = answer
            if answer.endswith(_END) and answer.startswith(_ACCEPTED):
                self.latencies_s.append(time.perf_counter() - self._due_at.pop(connection))
                self._free.append(connection)
            elif not answer or not _ACCEPTED.startswith(answer[: len(_ACCEPTED)]):
                raise AnswerError(f"answered {answer[:200]!r}")


def request(body: bytes) -> bytes:
    """Return a whole request."""
    head = "\r\n".join((*PATCH.head, f"Content-Length: {len(body)}", "", ""))
    return head.encode() + body
