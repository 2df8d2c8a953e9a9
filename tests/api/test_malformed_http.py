"""What is hardly HTTP, byte by byte: an answer in the one shape or a closed connection, no 500."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.process import wait_for
from tests.api.wire import PATH, Wire, exchange, patch, request
from tests.harness.client import Client
from tests.harness.services import Gateway, await_room_in_logs

BODY = b'{"executionId": "raw-bytes"}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
GET = f"GET {PATH}?executionIds=no-such-id HTTP/1.1"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

MALFORMED: dict[str, bytes] = {
    "binary": b"\x00\x01\x02\xff\r\n\r\n",
    "TLS": bytes.fromhex("160301020001 0001fc0303") + bytes(300),
    "a word": b"hello\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": request(f"GET {PATH} HTTP/9.9"),
    "a version without number": request(f"GET {PATH} HTTP/x"),
    "a method that is no token": request(f"BR(EW {PATH} HTTP/1.1"),
    "a target without slash": request("GET metrics HTTP/1.1"),
    "a target with a space": request(f"GET {PATH}?a= b HTTP/1.1"),
    "a target that is no URL": request(f"GET http://[::1{PATH} HTTP/1.1"),
    "a target with an impossible port": request(f"GET http://localhost:999999{PATH} HTTP/1.1"),
    "raw bytes in the target": request(GET).replace(b"no-such-id", b"\xff\xfe"),
    "a huge target": request(f"GET {PATH}?executionIds={'x' * 200_000} HTTP/1.1"),
    "a huge header": request(GET, b"X-Large: " + b"x" * 200_000 + b"\r\n"),
    "thousands of headers": request(GET, b"".join(b"X-%d: x\r\n" % n for n in range(20_000))),
    "a header without colon": request(GET, b"Header\r\n"),
    "a header name with a space": request(GET, b"My Header: x\r\n"),
    "a header with NUL": request(GET, b"X-Header: a\0b\r\n"),
    "a folded header": request(GET, b"X-Header: a\r\n b\r\n"),
    "bare line feeds": request(GET).replace(b"\r\n", b"\n"),
    "no host": request(GET).replace(b"Host: localhost\r\n", b""),
    "two hosts": request(GET, b"Host: elsewhere\r\n"),
    "a length that is no number": patch(b"Content-Length: ten\r\n", BODY),
    "a negative length": patch(b"Content-Length: -10\r\n", BODY),
    "an endless length": patch(b"Content-Length: " + b"9" * 50 + b"\r\n", BODY),
    "two lengths": patch(LENGTH + b"Content-Length: 2\r\n", BODY),
    "a length and chunks": patch(LENGTH + CHUNKED, b"0\r\n\r\n"),
    "an unknown transfer encoding": patch(b"Transfer-Encoding: brotli\r\n", BODY),
    "a chunk size that is no number": patch(CHUNKED, b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "an endless chunk size": patch(CHUNKED, b"f" * 40 + b"\r\n" + BODY),
    "a chunk longer than it says": patch(CHUNKED, b"3\r\n" + BODY + b"\r\n0\r\n\r\n"),
}


def assert_alive(gateway: Gateway) -> None:
    """Check that the gateway answers the next client."""
    answer = exchange(gateway.port, request(GET))
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (404, "02010055")


def errors(gateway: Gateway) -> list[dict[str, Any]]:
    return [line for line in gateway.logs() if line["level"] == "error"]


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_http_is_refused_in_the_one_shape(gateway: Gateway, sent: bytes) -> None:
    answer = exchange(gateway.port, sent)
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (400, "02011006")
    assert len(answer.body) < 2000
    assert_alive(gateway)


def test_a_refusal_of_malformed_http_can_be_found_in_the_logs(gateway: Gateway) -> None:
    await_room_in_logs()
    answer = exchange(gateway.port, MALFORMED["a word"])
    assert answer is not None
    request_id = answer.headers["X-Request-ID"]
    assert wait_for(lambda: any(line.get("requestId") == request_id for line in gateway.logs()), 2)


def test_malformed_http_is_counted_as_a_request(gateway: Gateway) -> None:
    before = gateway.metric("ingest_requests_total", status="400")
    assert exchange(gateway.port, MALFORMED["a word"]) is not None
    assert gateway.metric("ingest_requests_total", status="400") == before + 1


@pytest.mark.parametrize("method", ["BREW", "get", "PROPFIND", "TRACE", "CONNECT"])
def test_an_unusual_method_gets_an_answer_in_the_one_shape(gateway: Gateway, method: str) -> None:
    answer = exchange(gateway.port, request(f"{method} {PATH} HTTP/1.1"))
    assert answer is not None
    assert answer.status in (400, 404, 405)
    assert answer.error
    assert_alive(gateway)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (GET, "02010055"),
        (GET.replace("/v2", "http://localhost/v2"), "02010055"),
        (GET.replace("/v2", "http://elsewhere.example:81/v2"), "02010055"),
        (GET.replace("1.1", "1.0"), "02010055"),
        ("GET http://localhost HTTP/1.1", "02011011"),
        ("GET //v2/lm/metrics HTTP/1.1", "02011011"),
        ("GET /%00%ff%zz HTTP/1.1", "02011011"),
        (f"GET {PATH}?executionIds=%ff%00%zz HTTP/1.1", "02011003"),
        (f"GET {PATH}?executionIds=%ED%A0%80 HTTP/1.1", "02011003"),
        (f"GET {PATH}?tagFilters=%25ED%25A0%2580 HTTP/1.1", "02011003"),
        (f"GET {PATH}?tagFilters=a%3D%FF HTTP/1.1", "02010055"),
        (f"GET {PATH}?$filter=%ED%A0%80 HTTP/1.1", "02011003"),
        (f"GET {PATH}?executionIds=no-such-id&$select=%ED%A0%80 HTTP/1.1", "02011003"),
        (f"GET {PATH}?executionIds=no-such-id&$top=%D9%A1 HTTP/1.1", "02011003"),
        (f"GET {PATH}?executionIds=no-such-id&&=&=x&?&# HTTP/1.1", "02010055"),
        (f"DELETE {PATH}?executionId=%ff%ff%ff%ff HTTP/1.1", "02011003"),
    ],
)
def test_any_form_of_target_is_understood_or_refused(
    gateway: Gateway, line: str, code: str
) -> None:
    answer = exchange(gateway.port, request(line))
    assert answer is not None
    assert answer.error["code"] == code


@pytest.mark.parametrize("value", [b"\xff\xfe", b"gr\xc3\xbc\xc3\x9fe", b"a\x80b", b"'", b'"; x="'])
@pytest.mark.parametrize(
    "name", [b"AI-Resource-Group", b"Content-Type", b"Content-Encoding", b"X-Request-ID", b"Cookie"]
)
def test_no_bytes_in_a_header_make_a_500(gateway: Gateway, name: bytes, value: bytes) -> None:
    header = name + b": " + value + b"\r\n"
    for first, rest in ((GET, b""), (f"PATCH {PATH} HTTP/1.1", LENGTH)):
        # In front of the usual headers: of two, the first counts.
        head, _, usual = request(first, rest, BODY if rest else b"").partition(b"\r\n")
        answer = exchange(gateway.port, head + b"\r\n" + header + usual)
        assert answer is not None
        assert answer.status < 500
        assert answer.status == 204 or answer.error


@pytest.mark.parametrize(
    "sent",
    [
        patch(LENGTH.replace(b"28", b"99"), BODY),
        patch(CHUNKED, b"99\r\n" + BODY),
        patch(CHUNKED, b"1c\r\n" + BODY + b"\r\n"),
        request(GET)[:-2],
        b"PATCH",
    ],
    ids=["a body", "a chunk", "chunks", "headers", "a method"],
)
def test_what_ends_before_its_end_is_no_bug_and_no_update(gateway: Gateway, sent: bytes) -> None:
    assert len(BODY) == 28
    accepted = gateway.metric("ingest_updates_accepted_total")
    failed = gateway.metric("ingest_requests_total", status="500")
    logged = errors(gateway)
    answer = exchange(gateway.port, sent, half_close=True)
    assert answer is None or (answer.status == 400 and answer.error)
    assert_alive(gateway)
    assert gateway.metric("ingest_updates_accepted_total") == accepted
    assert gateway.metric("ingest_requests_total", status="500") == failed
    assert errors(gateway) == logged


def test_requests_one_after_the_other_on_one_connection_are_answered_in_order(
    gateway: Gateway,
) -> None:
    keep_alive = patch(LENGTH, BODY).replace(b"Connection: close\r\n", b"")
    unknown = keep_alive.replace(PATH.encode(), b"/nowhere")
    with Wire(gateway.port) as connection:
        connection.send(keep_alive + unknown + keep_alive + unknown)
        answers = [connection.answer() for _ in range(4)]
    assert [answer and answer.status for answer in answers] == [204, 404, 204, 404]


async def test_a_slow_client_holds_up_nobody(gateway: Gateway, client: Client) -> None:
    with ExitStack() as connections:
        slow = [connections.enter_context(Wire(gateway.port)) for _ in range(50)]
        for number, connection in enumerate(slow):
            connection.send(patch(LENGTH, BODY)[: number * 5])
        async with asyncio.timeout(5):
            await client.accepted({"executionId": "quick"})
            await client.resource("quick")
        for number, connection in enumerate(slow):
            connection.send(patch(LENGTH, BODY)[number * 5 :])
        for connection in slow:
            answer = connection.answer()
            assert answer is not None
            assert answer.status == 204


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    start=st.sampled_from([patch(LENGTH, BODY), request(GET), patch(CHUNKED, b"0\r\n\r\n")]),
    place=st.integers(0, 300),
    removed=st.integers(0, 20),
    added=st.binary(max_size=20),
)
def test_no_damage_to_a_request_makes_a_500(
    gateway: Gateway, start: bytes, place: int, removed: int, added: bytes
) -> None:
    sent = start[:place] + added + start[place + removed :]
    answer = exchange(gateway.port, sent, half_close=True)
    assert answer is None or answer.status < 500
