"""HEAD is GET without the body, OPTIONS says what there is: on every path."""

import pytest

from tests.api.wire import PATH, Wire, exchange, request
from tests.harness.client import EXAMPLE, Client
from tests.harness.services import Gateway

ALLOWED = "DELETE, GET, HEAD, OPTIONS, PATCH"
PATHS = {PATH: ALLOWED, "/openapi.json": "GET, HEAD, OPTIONS", "*": ALLOWED}
# What may differ between two answers, and what a HEAD may leave out (RFC 9110, section 9.3.2).
VARIES = {"Date", "X-Request-ID"}
OF_CONTENT = {"Content-Length", "Transfer-Encoding"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"executionIds": EXAMPLE["executionId"]},
        {"executionIds": EXAMPLE["executionId"], "$select": "tags"},
        {"executionIds": "no-such-run"},
        {"executionIds": "x"},
        {},
        {"tagFilters": "Artifact Group"},
    ],
)
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_head_answers_like_get_without_the_body(
    client: Client, parameters: dict[str, str], encoding: str
) -> None:
    await client.accepted(EXAMPLE)
    headers = client.headers | {"Accept-Encoding": encoding}
    get = await client.request("GET", params=parameters, headers=headers)
    head = await client.request("HEAD", params=parameters, headers=headers)
    assert head.status == get.status
    assert head.body == b""
    kept = {name: value for name, value in get.headers.items() if name not in VARIES}
    if get.status != 200:  # the request id is in the body, and need not be as long
        kept.pop("Content-Length")
    assert kept.items() <= dict(head.headers).items()
    assert head.headers.keys() == get.headers.keys()


async def test_head_of_a_large_answer_reads_none_of_it(client: Client, execution_id: str) -> None:
    metrics = [{"name": "loss", "value": step, "step": step} for step in range(1000)]
    for number in range(3):
        tag = [{"name": "part", "value": str(number)}]
        await client.accepted({"executionId": execution_id, "metrics": metrics, "tags": tag})
    for encoding in ("gzip", "identity"):
        headers = client.headers | {"Accept-Encoding": encoding}
        asked = {"params": {"executionIds": execution_id}, "headers": headers}
        get, head = await client.request("GET", **asked), await client.request("HEAD", **asked)
        assert get.headers["Transfer-Encoding"] == "chunked"
        assert (head.status, head.body) == (200, b"")
        assert head.headers.keys() == get.headers.keys() - OF_CONTENT
        assert head.headers.get("Content-Encoding") == get.headers.get("Content-Encoding")


@pytest.mark.parametrize(("path", "allowed"), PATHS.items())
def test_options_says_what_a_path_has(gateway: Gateway, path: str, allowed: str) -> None:
    answer = exchange(gateway.port, request(f"OPTIONS {path} HTTP/1.1"))
    assert answer is not None
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Allow"] == allowed
    assert answer.headers["X-Request-ID"]
    assert "Content-Length" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_options_wants_no_resource_group_and_no_path_that_is_not_there(
    gateway: Gateway, client: Client
) -> None:
    assert (await client.request("OPTIONS", headers={})).status == 204
    answer = await client.request("OPTIONS", url=f"{gateway.url}/nowhere")
    assert (answer.status, answer.error["code"]) == (404, "02011011")


async def test_nothing_of_a_head_stays_on_the_connection(gateway: Gateway) -> None:
    get = f"GET {PATH}?executionIds=no-such-run HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with Wire(gateway.port) as wire:
        wire.send(get.replace(b"GET", b"HEAD") + get)
        head, answer = wire.answer(bodiless=True), wire.answer()
        assert head is not None
        assert answer is not None
        assert head.status == answer.status == 400
        assert answer.error["code"] == "02011004"


async def test_a_large_answer_reaches_clients_of_http_1_0(
    gateway: Gateway, client: Client, execution_id: str
) -> None:
    metrics = [{"name": "loss", "value": step, "step": step} for step in range(1000)]
    for number in range(3):
        metrics = [one | {"timestamp": f"2026-01-01T00:00:0{number}Z"} for one in metrics]
        await client.accepted({"executionId": execution_id, "metrics": metrics})
    group = client.headers["AI-Resource-Group"]
    sent = (
        f"GET {PATH}?executionIds={execution_id} HTTP/1.0\r\nAI-Resource-Group: {group}\r\n\r\n"
    ).encode()
    with Wire(gateway.port) as wire:
        wire.send(sent)
        head, _, body = wire.read_all().partition(b"\r\n\r\n")
    assert b" 200 OK\r\n" in head
    assert b"chunked" not in head
    assert body.startswith(b'{"count":1,')
    assert body.endswith(b"]}]}")
