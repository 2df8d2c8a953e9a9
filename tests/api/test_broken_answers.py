"""An answer that cannot be sent to its end is not taken for a whole one, and none is kept."""

import zlib
from collections.abc import Iterator
from uuid import uuid4

import aiohttp
import pytest
from pymongo import MongoClient

from ingest.contract.documents import SEGMENTS
from ingest.contract.message import resource_key
from tests.api.wire import PATH, Wire
from tests.harness.client import EXAMPLE, Client
from tests.harness.services import Gateway


@pytest.fixture(scope="module")
def unlucky(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that comes upon what it cannot read: the log of the shared one stays clean."""
    unlucky = Gateway(tmp_path_factory.mktemp("unlucky"), gateway.environment)
    unlucky.start()
    yield unlucky
    unlucky.stop()


@pytest.fixture
async def broken(gateway: Gateway, client: Client, execution_id: str) -> str:
    """The id of an execution whose last points cannot be read."""
    for start in range(0, 8000, 1000):
        metrics = [
            # Names that compress badly, so that some of the answer is on its way.
            {"name": uuid4().hex, "value": n / 7, "step": n}
            for n in range(start, start + 1000)
        ]
        await client.accepted({"executionId": execution_id, "metrics": metrics})
    assert len((await client.resource(execution_id))["metrics"]) == 8000
    environment = gateway.environment
    key = resource_key(client.headers["AI-Resource-Group"], execution_id)
    with MongoClient[dict[str, object]](environment["MONGODB_URL"]) as database:
        segments = database[environment["MONGODB_DATABASE"]][SEGMENTS]
        found = {"resource": key, "firstStep": {"$gte": 7000}}
        assert segments.update_many(found, {"$set": {"runs": "[[1, {"}}).modified_count > 0
    return execution_id


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_half_an_answer_is_cut_off(
    unlucky: Gateway, client: Client, broken: str, encoding: str
) -> None:
    group = client.headers["AI-Resource-Group"]
    async with Client(unlucky.url, group, **{"Accept-Encoding": encoding}) as reader:
        with pytest.raises(aiohttp.ClientPayloadError):
            await reader.query(executionIds=broken)
    with Wire(unlucky.port) as wire:
        wire.send(
            f"GET {PATH}?executionIds={broken} HTTP/1.1\r\nHost: a\r\n"
            f"AI-Resource-Group: {group}\r\nAccept-Encoding: {encoding}\r\n\r\n".encode()
        )
        head, _, body = wire.read_all().partition(b"\r\n\r\n")  # to the connection's end
    assert b" 200 OK\r\n" in head
    assert b"Transfer-Encoding: chunked" in head
    assert len(body) > 10_000
    assert not body.endswith(b"\r\n0\r\n\r\n")
    content = _chunks(body)
    if encoding == "gzip":
        decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
        content = decompressor.decompress(content)
        assert not decompressor.eof
    assert content.startswith(b'{"count":1,')


def _chunks(body: bytes) -> bytes:
    """Return the content of chunks, of which the last may be incomplete."""
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        content += body[:length]
        body = body[length + 2 :]
    return content


async def test_no_cache_keeps_an_answer_that_is_for_one_resource_group(
    client: Client, execution_id: str
) -> None:
    await client.accepted(EXAMPLE | {"executionId": execution_id})
    metrics = [{"name": "loss", "value": n, "step": n} for n in range(1000)]
    large = f"{execution_id}-large"
    for number in range(3):
        tag = [{"name": "part", "value": str(number)}]
        await client.accepted({"executionId": large, "metrics": metrics, "tags": tag})
    answers = [
        await client.query(executionIds=execution_id),
        await client.query(executionIds=large),
        await client.request("HEAD", params={"executionIds": execution_id}),
        await client.query(executionIds="no-such-run"),
        await client.query(),
        await client.delete(execution_id),
    ]
    assert [one.status for one in answers] == [200, 200, 200, 404, 400, 200]
    assert "Transfer-Encoding" in answers[1].headers
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
