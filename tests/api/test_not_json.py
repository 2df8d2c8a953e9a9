"""PATCH: what is not JSON is refused, whatever it is."""

import json
import random

import pytest

from tests.api.refusal import ID, MALFORMED, refused
from tests.harness.client import EXAMPLE, Client
from tests.harness.services import Gateway


def text(fields: str) -> bytes:
    """Make a body from JSON text that follows the execution id."""
    return f'{{"executionId":"{ID}",{fields}}}'.encode()


NOT_JSON: dict[str, bytes] = {
    "typographic quotes": json.dumps(EXAMPLE | {"executionId": ID})
    .replace('"name": "metrics.ai.sap.com', "\N{LEFT DOUBLE QUOTATION MARK}name")
    .encode(),
    "empty": b"",
    "only spaces": b" \r\n\t ",
    "words": b"hello",
    "a form": b"executionId=never-stored",
    "single quotes": text("").replace(b'"', b"'"),
    "truncated": text('"tags":[]')[:-1],
    "a tail": text('"tags":[]') + b"{}",
    "trailing comma": text('"tags":[],'),
    "a comment": text('"tags":[]/* none */'),
    "a byte order mark": b"\xef\xbb\xbf" + text('"tags":[]'),
    "UTF-16": text('"tags":[]').decode().encode("utf-16"),
    "invalid UTF-8": text('"tags":[{"name":"\0","value":"v"}]').replace(b"\0", b"\xff"),
    "an encoded surrogate": text('"tags":[{"name":"#","value":"v"}]').replace(
        b"#", b"\xed\xa0\x80"
    ),
    "overlong UTF-8": text('"tags":[{"name":"#","value":"v"}]').replace(b"#", b"\xc0\x80"),
    "a lone surrogate": text(r'"tags":[{"name":"\ud800","value":"v"}]'),
    "a reversed pair": text(r'"tags":[{"name":"\ude80\ud83d","value":"v"}]'),
    "a control character": text('"tags":[{"name":"\0","value":"v"}]'),
    "NaN": text('"metrics":[{"name":"n","value":NaN}]'),
    "Infinity": text('"metrics":[{"name":"n","value":Infinity}]'),
    "-Infinity": text('"metrics":[{"name":"n","value":-Infinity}]'),
    "1e400": text('"metrics":[{"name":"n","value":1e400}]'),
    "-1e400": text('"metrics":[{"name":"n","value":-1e400}]'),
    "400 digits": text('"metrics":[{"name":"n","value":1' + "0" * 400 + "}]"),
    "a hexadecimal number": text('"metrics":[{"name":"n","value":0x10}]'),
    "a leading zero": text('"metrics":[{"name":"n","value":01}]'),
    "nesting in a list": text('"tags":' + "[" * 100_000),
    "closed nesting": text('"createdAt":' + "[" * 5000 + "]" * 5000),
    "nesting in an object": text('"tags":' + '{"a":' * 100_000),
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_not_json_is_refused(client: Client, gateway: Gateway, body: bytes) -> None:
    answer = await refused(client, gateway, body)
    assert (answer.status, answer.error["code"]) == MALFORMED
    assert len(answer.body) < 10_000


async def test_typographic_quotes_are_called_by_their_name(client: Client) -> None:
    answer = await client.patch(NOT_JSON["typographic quotes"])
    assert "typographic quotes" in answer.details


async def test_no_damage_to_a_body_makes_a_500(client: Client, gateway: Gateway) -> None:
    before = gateway.metric("ingest_requests_total", status="500")
    dice = random.Random(1)  # noqa: S311 - the same damage every time
    valid = json.dumps(EXAMPLE).encode()
    for _ in range(500):
        body = bytearray(valid)
        for _ in range(dice.randint(1, 4)):
            start = dice.randrange(len(body))
            cut = slice(start, start + dice.choice([0, 1, 1, 1, 8, 64]))
            body[cut] = dice.choice(
                [b"", b"\x00", b"\xff", b'"', b"{", b"]", b"null", b"1e999", dice.randbytes(1)]
            )
        answer = await client.patch(bytes(body))
        assert answer.status == 204 or answer.error["code"] in ("02011001", "02011002"), bytes(body)
    assert gateway.metric("ingest_requests_total", status="500") == before
