"""What an error says: where, what it is or how long, and what to change."""

import gzip
import io
import json
import zlib

import pytest

from tests.api.wire import exchange, patch
from tests.harness.client import EXAMPLE, Client
from tests.harness.services import Gateway

ID = {"executionId": "never-stored"}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the body is empty; send a MetricResource as JSON"),
        (
            b'{"executionId": "run-1", "metrics": [{"name": "a", "value": NaN}]}',
            ("the body is not JSON: unexpected character, expected a JSON value: line 1 column 61 "
            '(char 60), at "NaN}]}"; JSON has no NaN and no Infinity: leave such a metric out'),
        ),
        (
            b"{'executionId': 'run-1'}",
            ("the body is not JSON: unexpected character, expected a string key: line 1 column 2 "
            "(char 1), at \"'executionId': 'run-\""),
        ),
        (ID | {"metric": []}, '(body): unknown field "metric"'),
        (ID | {"metrics": [{"name": "a"}]}, '/metrics/0: "value" is missing'),
        (
            ID | {"metrics": [{"name": "a", "value": "high" * 100}]},
            f'/metrics/0/value: must be a number, but is "{("high" * 20)[:58]}…',
        ),
        (ID | {"tags": [{"name": "a", "value": ""}]}, "/tags/0/value: is empty"),
        (
            ID | {"tags": [{"name": "a", "value": "x" * 257}]},
            "/tags/0/value: is 257 characters long, at most 256 are allowed",
        ),
        (ID | {"metrics": [{}] * 1001}, "/metrics: has 1001 items, at most 1000 are allowed"),
        ({"executionId": "a/b"}, ('/executionId: "a/b" does not match the pattern '
                                 "^[A-Za-z0-9_.-]{4,64}$")),
    ],
)  # fmt: skip
async def test_a_refused_body(client: Client, body: object, detail: str) -> None:
    answer = await client.patch(body)
    assert answer.status == 400
    assert detail in answer.details.splitlines()


@pytest.mark.parametrize(
    "body",
    [
        ID | {"tags": [{"name": "password", "value": "hunter2-" * 100}]},
        ID | {"tags": {"password": "hunter2"}},
        ID | {"tags": [{"name": "login", "value": {"password": "hunter2"}}]},
        ID | {"customInfo": [["password", "hunter2"]]},
        ID | {"metrics": [{"name": "a", "value": 1, "labels": {"password": "hunter2"}}]},
        ID | {"tags": [{"name": "hunter2-" * 100, "value": "x"}]},
        ID | {"customInfo": [{"name": "password", "value": "hunter2-" * 100_000}]},
    ],
)  # fmt: skip
async def test_a_refusal_does_not_repeat_what_may_be_secret(client: Client, body: object) -> None:
    answer = await client.patch(body)
    assert answer.status in (400, 413)
    assert b"hunter2" not in answer.body


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        (
            {"Content-Type": "text/plain"},
            ('(header Content-Type): is "text/plain"; send application/json or '
            "application/merge-patch+json, in UTF-8"),
        ),
        (
            {"Content-Encoding": "br"},
            '(header Content-Encoding): is "br"; send gzip, deflate, or none',
        ),
        (
            {"AI-Resource-Group": "my group"},
            ('(header AI-Resource-Group): "my group" is not a resource group: 3 to 253 letters, '
            "digits, dots and hyphens, beginning and ending with a letter or digit"),
        ),
    ],
)  # fmt: skip
async def test_a_refused_header(client: Client, headers: dict[str, str], detail: str) -> None:
    assert (await client.patch(EXAMPLE, **headers)).details == detail


@pytest.mark.parametrize(
    ("body", "encoding", "detail"),
    [
        (b"no gzip", "gzip", "(body): is not gzip, as Content-Encoding says: Error -3"),
        (gzip.compress(b"{}")[:-4], "gzip", "(body): ends in the middle of the gzip data"),
        (zlib.compress(b"{}") + b"abc", "deflate", "(body): goes on for 3 bytes behind"),
        (gzip.compress(b"") * 17, "gzip", "(body): has more than 16 gzip members; send one"),
    ],
)  # fmt: skip
async def test_a_body_that_is_not_what_its_header_says(
    client: Client, body: bytes, encoding: str, detail: str
) -> None:
    answer = await client.patch(body, **{"Content-Encoding": encoding})
    assert (answer.status, answer.error["code"]) == (400, "02011005")
    assert answer.details.startswith(detail)


async def test_a_body_that_is_too_large_is_told_its_length(strict: Gateway) -> None:
    async with Client(strict.url) as client:
        for body, size in ((b" " * 10_001, "is 10001 bytes long"), (b" " * 200_000, "is 200000")):
            answer = await client.patch(body)
            assert answer.status == 413
            assert answer.details.startswith(f"(body): {size}")
            assert answer.details.endswith("at most 10000 are allowed; send the metrics in parts")
        bomb = {"Content-Encoding": "gzip"}
        answer = await client.patch(gzip.compress(b" " * 10_000_000), **bomb)
        assert answer.details.startswith("(body): is longer than 10000 bytes, at most 10000")


async def test_custom_info_that_is_too_large_is_told_its_length(client: Client) -> None:
    long = [{"name": f"plot {number}", "value": "x" * 60_000} for number in range(100)]
    body = json.dumps(ID | {"customInfo": long}).encode()
    headers = client.headers | {"Content-Type": "application/json"}
    answer = await client.request("PATCH", data=io.BytesIO(body), headers=headers)
    assert answer.status == 413
    assert answer.details.startswith("/customInfo: is 60")
    assert "bytes long as JSON, at most 5242880 are allowed; send it in parts" in answer.details


def test_a_body_that_is_late_is_told_how_much_came(strict: Gateway) -> None:
    answer = exchange(strict.port, patch(b"Content-Length: 100\r\n", b'{"executionId'))
    assert answer is not None
    assert answer.status == 408
    expected = "(body): 13 bytes of 100 came within 0.5 seconds; send all of it by then"
    assert answer.details == expected


def test_an_expectation_is_named(gateway: Gateway) -> None:
    answer = exchange(
        gateway.port, patch(b"Expect: the-impossible\r\nContent-Length: 2\r\n", b"{}")
    )
    assert answer is not None
    assert answer.status == 417
    assert answer.details == '(header Expect): is "the-impossible"; send 100-continue, or none'


@pytest.mark.parametrize(
    ("parameters", "details"),
    [
        ({}, ["executionIds: is missing; give executionIds, $filter or tagFilters"]),
        (
            {"executionIds": "a", "filter": "x"},
            ["executionIds, $filter: give one of the two, not both"],
        ),
        (
            {"filter": "executionId gt 'run-1'"},
            [("$filter: \"executionId gt 'run-1'\" is none of executionId eq '...' and "
             "executionId in ('...','...')")],
        ),
        (
            {"executionIds": "run-1", "top": "0", "select": "metric", "tagFilters": "=v"},
            [
                "tagFilters: '=v' is none of name=value, name!=value and name",
                "$select: 'metric' is none of metrics, tags, customInfo and *",
                "$top: '0' is not an integer from 1 to 10000",
            ],
        ),
    ],
)  # fmt: skip
async def test_a_refused_query(
    client: Client, parameters: dict[str, str], details: list[str]
) -> None:
    answer = await client.query(**parameters)
    assert answer.status == 400
    assert answer.details.splitlines() == details
