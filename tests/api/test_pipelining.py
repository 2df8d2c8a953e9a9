"""Requests sent without waiting for answers, and bodies in very many chunks: all are answered."""

from tests.api.wire import PATH, Wire
from tests.harness.services import Gateway

BODY = b'{"executionId": "pipelined"}'
HEADERS = (
    f"PATCH {PATH} HTTP/1.1\r\nHost: localhost\r\nAI-Resource-Group: wire\r\n"
    "Content-Type: application/json\r\n"
).encode()
HEAD = HEADERS + b"Content-Length: %d\r\n\r\n" % len(BODY)
# aiohttp's parser stops when this many wait to be handled.
QUEUE = 32
# It also stops when the ends of more chunks than this wait to be read.
CHUNK_ENDS = 16 * 1024


def are_accepted(wire: Wire, count: int) -> bool:
    answers = [wire.answer() for _ in range(count)]
    return all(answer is not None and answer.status == 204 for answer in answers)


def test_more_requests_at_once_than_may_wait_are_all_answered(gateway: Gateway) -> None:
    with Wire(gateway.port) as wire:
        wire.send((HEAD + BODY) * 3 * QUEUE)
        assert are_accepted(wire, 3 * QUEUE)


def test_requests_behind_one_whose_body_came_late_are_all_answered(gateway: Gateway) -> None:
    for others in (QUEUE - 1, QUEUE, QUEUE + 1):
        with Wire(gateway.port) as wire:
            wire.send(HEAD + BODY)
            assert are_accepted(wire, 1)
            wire.send(HEAD)
            gateway.metric("ingest_connections")  # meanwhile the headers have been taken
            wire.send(BODY + (HEAD + BODY) * others)
            assert are_accepted(wire, 1 + others)


def test_what_follows_a_body_in_very_many_chunks_is_answered(gateway: Gateway) -> None:
    for chunks in (CHUNK_ENDS, CHUNK_ENDS + 1, 2 * CHUNK_ENDS + 1):
        body = b" " * (chunks - len(BODY)) + BODY
        chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        with Wire(gateway.port) as wire:
            wire.send(HEADERS + b"Transfer-Encoding: chunked\r\n\r\n" + chunked)
            assert are_accepted(wire, 1)
            wire.send(HEAD + BODY)
            assert are_accepted(wire, 1)
