"""The 204 on the wire: the same to every client, but for what HTTP wants said of the connection."""

import pytest

from tests.api.wire import PATH, Wire
from tests.harness.services import Gateway

BODY = b'{"executionId": "no-content"}'


@pytest.mark.parametrize(
    ("version", "asked", "told", "stays"),
    [
        ("1.1", "", None, True),
        ("1.1", "keep-alive", None, True),
        ("1.1", "close", "close", False),
        ("1.0", "", None, False),
        ("1.0", "keep-alive", "keep-alive", True),
    ],
)
def test_a_204_tells_what_becomes_of_the_connection(
    gateway: Gateway, version: str, asked: str, told: str | None, *, stays: bool
) -> None:
    connection = f"Connection: {asked}\r\n" if asked else ""
    sent = (
        f"PATCH {PATH} HTTP/{version}\r\nHost: localhost\r\nAI-Resource-Group: wire\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
        f"X-Request-ID: of-the-client\r\n{connection}\r\n"
    ).encode() + BODY
    with Wire(gateway.port) as wire:
        for _ in range(2 if stays else 1):
            wire.send(sent)
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 204
            assert answer.headers["X-Request-ID"] == "of-the-client"
            assert answer.headers["Server"] == "metric-ingest"
            assert answer.headers["Date"].endswith(" GMT")
            assert answer.headers.get("Connection") == told
            # RFC 9110, section 8.6: a 204 has no Content-Length; and there is nothing to describe.
            assert set(answer.headers) <= {"X-Request-ID", "Server", "Date", "Connection"}
        if not stays:
            assert wire.read_all() == b""
