"""gzip for those who accept it, if it is worth it; the same answer for all others."""

import gzip
import zlib
from typing import Any

import pytest

from tests.harness.client import EXAMPLE, Answer, Client
from tests.harness.services import Gateway

GROUPS = 40  # of 200 points: an answer of several pieces


@pytest.fixture
async def large(client: Client, execution_id: str) -> str:
    """The id of an execution whose points are more than one piece of an answer."""
    for start in range(0, GROUPS * 200, 1000):
        metrics = [
            {"name": "loss", "value": step / 7, "step": step} for step in range(start, start + 1000)
        ]
        await client.accepted({"executionId": execution_id, "metrics": metrics})
    return execution_id


async def ask(client: Client, accepted: str | None, **parameters: str) -> Answer:
    more = {} if accepted is None else {"Accept-Encoding": accepted}
    return await client.request("GET", params=parameters, headers=client.headers | more)


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("*", True),
        ("gzip ; q=0.5", True),
        ("", False),
        ("identity", False),
        ("br, deflate", False),
        ("gzip;q=0", False),
        ("gzip; Q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("gzipped", False),
    ],
)
async def test_an_answer_is_compressed_for_who_accepts_it(
    client: Client, execution_id: str, accepted: str, *, compressed: bool
) -> None:
    await client.accepted(EXAMPLE | {"executionId": execution_id})
    metrics = [{"name": "a", "value": step, "step": step} for step in range(30)]
    await client.accepted({"executionId": execution_id, "metrics": metrics})
    plain = await ask(client, None, executionIds=execution_id)
    answer = await ask(client, accepted, executionIds=execution_id)
    assert answer.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert ("Content-Encoding" in answer.headers) is compressed
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    body = gzip.decompress(answer.body) if compressed else answer.body
    assert body == plain.body
    assert not compressed or len(answer.body) < len(plain.body)


async def test_a_small_answer_is_not(client: Client, execution_id: str) -> None:
    await client.accepted({"executionId": execution_id})
    answer = await ask(client, "gzip", executionIds=execution_id)
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.json["count"] == 1


async def test_a_streamed_answer_is_one_gzip_stream(client: Client, large: str) -> None:
    plain = await ask(client, None, executionIds=large)
    answer = await ask(client, "gzip", executionIds=large)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert decompressor.decompress(answer.body) == plain.body
    assert decompressor.eof
    assert not decompressor.unused_data
    assert len(plain.body) > 200_000
    assert len(answer.body) < len(plain.body) / 4


async def test_a_long_refusal_is_compressed_too(client: Client) -> None:
    body: dict[str, Any] = {"executionId": "x", "metrics": [{"name": "a"}] * 100}
    answer = await client.patch(body, **{"Accept-Encoding": "gzip"})
    assert answer.status == 400
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    plain = await client.patch(body, **{"Accept-Encoding": "identity"})
    assert len(gzip.decompress(answer.body)) == len(plain.body)
    assert len(plain.error["details"]) == 101


async def test_a_204_has_nothing_to_compress_and_says_nothing_of_it(client: Client) -> None:
    answer = await client.patch(EXAMPLE, **{"Accept-Encoding": "gzip"})
    assert answer.status == 204
    assert not {"Vary", "Content-Encoding", "Content-Type"} & answer.headers.keys()


async def test_the_document_is_compressed(gateway: Gateway, client: Client) -> None:
    url = gateway.url.removesuffix("/v2") + "/openapi.json"
    answer = await client.request("GET", url=url, headers={"Accept-Encoding": "gzip"})
    plain = await client.request("GET", url=url, headers={"Accept-Encoding": "identity"})
    assert gzip.decompress(answer.body) == plain.body
