"""Errors: one shape on every path and for every method, and a request id that leads to the logs."""

import itertools
from typing import Any

import pytest

from deploy.local.process import wait_for
from ingest.errors import Error, RequestError
from tests.harness.client import EXAMPLE, Client
from tests.harness.services import Gateway, await_room_in_logs

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = (
    "/", "/v2", "/v2/lm", "/v2/lm/metrics/", "/v2/lm/metrics/run-1", "/v2/lm/Metrics",
    "/lm/metrics", "/v2/lm/metrics%2F", "/v1/lm/metrics", "/metrics", "/livez", "/readyz", "/é",
)  # fmt: skip


def root(gateway: Gateway) -> str:
    return gateway.url.removesuffix("/v2")


def logged(gateway: Gateway, request_id: str) -> dict[str, Any]:
    """Return the log line of a request, waiting for it."""
    lines: list[dict[str, Any]] = []

    def is_there() -> bool:
        lines[:] = [line for line in gateway.logs() if line.get("requestId") == request_id]
        return bool(lines)

    assert wait_for(is_there, 5), request_id
    (line,) = lines
    return line


@pytest.mark.parametrize("path", PATHS)
async def test_an_unknown_path_is_404_for_every_method(
    gateway: Gateway, client: Client, path: str
) -> None:
    for method in METHODS:
        answer = await client.request(method, url=root(gateway) + path)
        assert answer.status == 404
        assert answer.headers["Content-Type"].startswith("application/json")
        if method != "HEAD":
            assert answer.error["code"] == "02011011"
            assert "is not there; this service has /v2/lm/metrics" in answer.details


@pytest.mark.parametrize("method", ["POST", "PUT", "TRACE"])
async def test_a_method_that_the_path_does_not_have_is_405_and_names_the_others(
    client: Client, method: str
) -> None:
    answer = await client.request(method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"
    assert answer.error["code"] == "02011012"
    assert answer.details == f"'{method}' is none of its methods; use {answer.headers['Allow']}"


async def test_a_body_for_an_unknown_path_does_not_spoil_the_connection(
    gateway: Gateway, client: Client
) -> None:
    for _ in range(3):
        for method in ("POST", "PATCH"):
            answer = await client.request(
                method, url=root(gateway) + "/nowhere", data=b"x" * 300_000
            )
            assert answer.status == 404
        await client.accepted({"executionId": "after"})


@pytest.mark.parametrize(
    "request_id", ["a", "9832bf934f3743v3948v3", "8-4:4.4/4+1=2@3_x", "x" * 128]
)
async def test_a_sane_request_id_is_echoed_by_every_answer(client: Client, request_id: str) -> None:
    header = {"X-Request-ID": request_id}
    assert (await client.patch(EXAMPLE, **header)).headers["X-Request-ID"] == request_id
    refused = await client.patch(b"", **header)
    assert refused.error["requestId"] == request_id
    headers = {"AI-Resource-Group": "default"} | header
    for method, status in (("GET", 400), ("DELETE", 400), ("POST", 405)):
        answer = await client.request(method, headers=headers)
        assert answer.status == status
        assert answer.error["requestId"] == request_id
    for parameters in ({"executionIds": "no-such-id"}, {"executionId": "no-such-id"}):
        method = "GET" if "executionIds" in parameters else "DELETE"
        answer = await client.request(method, headers=headers, params=parameters)
        assert answer.error["requestId"] == request_id


@pytest.mark.parametrize(
    "request_id", ["", "x" * 129, "two words", '"', "<script>", "a,b", "é", "a\tb", "${jndi:x}"]
)
async def test_any_other_request_id_is_replaced(client: Client, request_id: str) -> None:
    answers = [await client.patch(b"", **{"X-Request-ID": request_id}) for _ in range(2)]
    new = [answer.error["requestId"] for answer in answers]
    assert new[0] != new[1]
    assert all(one and one != request_id and one.isascii() for one in new)


async def test_every_request_has_a_request_id_of_its_own(client: Client) -> None:
    await client.accepted(EXAMPLE)
    answers = [
        await client.patch(EXAMPLE),
        await client.patch(EXAMPLE),
        await client.patch(b""),
        await client.query(executionIds=EXAMPLE["executionId"]),
        await client.query(executionIds="no-such-id"),
        await client.delete(EXAMPLE["executionId"]),
        await client.delete(EXAMPLE["executionId"]),
    ]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == len(ids)
    for answer in answers:
        assert len(answer.headers.getall("X-Request-ID")) == 1
        assert answer.headers["Server"] == "metric-ingest"


async def test_a_refused_request_is_found_in_the_logs_by_its_id(
    gateway: Gateway, client: Client
) -> None:
    numbers = itertools.count()
    await_room_in_logs()
    for answer, status, code in (
        (await client.patch(b"{"), 400, "02011001"),
        (await client.patch({"executionId": "x", "more": 1}), 400, "02011002"),
        (await client.patch(EXAMPLE, **{"Content-Type": "text/plain"}), 415, "02011014"),
        (await client.query(), 400, "02011003"),
        (await client.query(executionIds="no-such-id"), 404, "02010055"),
        (await client.request("POST"), 405, "02011012"),
        (await client.request("GET", url=root(gateway) + "/nowhere"), 404, "02011011"),
        (await client.patch(b"", **{"X-Request-ID": f"my-own-{next(numbers)}"}), 400, "02011001"),
    ):
        assert (answer.status, answer.error["code"]) == (status, code)
        line = logged(gateway, answer.error["requestId"])
        assert (line["status"], line["code"]) == (status, code)
        assert line["path"] == ("(unknown)" if code == "02011011" else "/v2/lm/metrics")
        assert line["method"] in METHODS


async def test_refusing_a_request_is_not_an_error_of_the_gateway(
    gateway: Gateway, client: Client
) -> None:
    await_room_in_logs()
    answer = await client.patch({"executionId": "x"})
    assert logged(gateway, answer.error["requestId"])["level"] == "info"


async def test_only_answers_that_invite_a_retry_say_retry_after(client: Client) -> None:
    for answer in (
        await client.patch(b"{"),
        await client.patch(EXAMPLE, **{"Content-Type": "text/plain"}),
        await client.query(executionIds="no-such-id"),
        await client.request("POST"),
    ):
        assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("error", Error)
def test_429_and_503_say_when_to_send_again_whatever_their_cause(error: Error) -> None:
    invites = error.value.status in (429, 503)
    assert ("Retry-After" in RequestError(error).headers) == invites
    assert RequestError(error, retry_after_s=7).headers["Retry-After"] == "7"
