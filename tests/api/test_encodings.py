"""PATCH: how the body travels. Media types, charsets, compression."""

import gzip
import json
import zlib
from collections.abc import Callable

import pytest

from tests.api.wire import raw_deflate
from tests.harness.client import EXAMPLE, Client


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/merge-patch+json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/merge-patch+json ; Charset=Utf-8",
        "application/json; profile=anything",
    ],
)
async def test_both_media_types_are_accepted_however_they_are_written(
    client: Client, execution_id: str, content_type: str
) -> None:
    body = EXAMPLE | {"executionId": execution_id}
    answer = await client.patch(body, **{"Content-Type": content_type})
    assert answer.status == 204, answer.body
    assert (await client.resource(execution_id))["metrics"] == EXAMPLE["metrics"]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "json",
        "text/plain",
        "text/json",
        "application/xml",
        "application/jsonx",
        "application/json-patch+json",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
    ],
)
async def test_any_other_media_type_or_charset_is_refused(
    client: Client, execution_id: str, content_type: str
) -> None:
    answer = await client.patch({"executionId": execution_id}, **{"Content-Type": content_type})
    assert answer.status == 415
    assert answer.error["code"] == "02011014"
    assert "Content-Type" in answer.details
    assert (await client.query(executionIds=execution_id)).status == 404


async def test_a_missing_content_type_is_refused(client: Client, execution_id: str) -> None:
    answer = await client.request(
        "PATCH",
        data=json.dumps({"executionId": execution_id}).encode(),
        headers={"AI-Resource-Group": "default"},
        skip_auto_headers=["Content-Type"],
    )
    assert answer.status == 415


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
    ],
    ids=["gzip", "upper case", "zlib", "raw deflate", "identity"],
)
async def test_compressed_bodies_are_accepted(
    client: Client, execution_id: str, encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    body = encode(json.dumps(EXAMPLE | {"executionId": execution_id}).encode())
    answer = await client.patch(body, **{"Content-Encoding": encoding})
    assert answer.status == 204, answer.body
    assert (await client.resource(execution_id))["tags"] == EXAMPLE["tags"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "deflate, gzip", ""])
async def test_any_other_encoding_is_refused(
    client: Client, execution_id: str, encoding: str
) -> None:
    answer = await client.patch({"executionId": execution_id}, **{"Content-Encoding": encoding})
    assert answer.status == 415
    assert answer.error["code"] == "02011014"
    assert "Content-Encoding" in answer.details


BODY = json.dumps(EXAMPLE | {"executionId": "never-stored"}).encode()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", BODY),
        ("gzip", b""),
        ("gzip", gzip.compress(BODY)[:-4]),
        ("gzip", gzip.compress(BODY)[:20]),
        ("gzip", gzip.compress(BODY)[:-8] + b"\0" * 8),
        ("gzip", gzip.compress(BODY) + b"tail"),
        ("deflate", BODY),
        ("deflate", zlib.compress(BODY)[:-1]),
        ("deflate", raw_deflate(BODY)[:-1]),
        ("deflate", zlib.compress(BODY) * 2),
        ("deflate", zlib.compress(BODY) + b"tail"),
        ("deflate", raw_deflate(BODY) + b"tail"),
        ("deflate", gzip.compress(BODY)),
        ("gzip", zlib.compress(BODY)),
    ],
    ids=str,
)
async def test_a_body_that_is_not_what_its_encoding_says_is_refused(
    client: Client, encoding: str, body: bytes
) -> None:
    answer = await client.patch(body, **{"Content-Encoding": encoding})
    assert answer.status == 400
    assert answer.error["code"] == "02011005"
    assert (await client.query(executionIds="never-stored")).status == 404
