"""Generated bodies on a live gateway: accepted exactly if valid; what is accepted comes back."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.wire import raw_deflate
from tests.harness.client import Answer
from tests.harness.services import Gateway
from tests.input import oracle
from tests.input.bodies import BREAKS, VALID, broken
from tests.input.effort import effort
from tests.input.live import LiveClient
from tests.input.model import check_stored

Json = dict[str, Any]


@pytest.fixture(scope="module")
def live(gateway: Gateway) -> Iterator[LiveClient]:
    client = LiveClient(gateway, f"generated-{uuid4().hex}")
    yield client
    client.close()


def places(answer: Answer) -> set[str]:
    """Return the JSON pointers that a refusal names."""
    messages = [detail["message"] for detail in answer.error["details"]]
    return {message.partition(": ")[0].replace("(body)", "") for message in messages}


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


@effort()
@given(VALID)
def test_what_is_valid_is_accepted_and_comes_back(live: LiveClient, resource: Json) -> None:
    assert oracle.wrong_places(resource) == set()
    # Another execution for every example, so that nothing merges with what was sent before.
    resource = resource | {"executionId": str(uuid4())}
    answer = live.patch(orjson.dumps(resource))
    assert (answer.status, answer.body) == (204, b""), answer.body
    stored = live.resource(resource["executionId"])
    check_stored(resource, stored)
    # What a query returned can be sent back, and changes nothing but the time.
    assert live.patch(orjson.dumps(stored)).status == 204
    again = live.resource(resource["executionId"])
    assert again | {"modifiedAt": 0} == stored | {"modifiedAt": 0}


@effort()
@given(st.data(), VALID, VALID)
def test_two_updates_merge(live: LiveClient, data: st.DataObject, one: Json, two: Json) -> None:
    shared = {"executionId": str(uuid4())}
    mix = data.draw(st.lists(st.sampled_from([*one.get("tags", []), {"name": "n", "value": "v"}])))
    two = two | {"tags": (two.get("tags", []) + mix)[: oracle.MAX_TAGS]}
    for resource in (one, two):
        assert live.patch(orjson.dumps(resource | shared)).status == 204
    stored = live.resource(shared["executionId"])
    for section in ("tags", "customInfo"):
        both = one.get(section, []) + two.get(section, [])
        expected = {item["name"]: item["value"] for item in both}
        assert {item["name"]: item["value"] for item in stored[section]} == expected


@pytest.mark.parametrize("rule", BREAKS)
@effort(0.1)
@given(st.data())
def test_what_breaks_one_rule_is_refused_at_that_place(
    live: LiveClient, rule: str, data: st.DataObject
) -> None:
    resource, place = data.draw(broken(BREAKS[rule]))
    assert oracle.wrong_places(resource) == {place}
    answer = live.patch(json.dumps(resource, ensure_ascii=data.draw(st.booleans())).encode())
    assert (answer.status, answer.error["code"]) == (400, "02011002"), answer.body
    assert places(answer) == {place}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["executionId", "metrics", "tags", "name", "value", "step", "labels", "timestamp"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@effort()
@given(JSON_VALUES)
def test_any_json_is_accepted_exactly_if_it_is_valid(live: LiveClient, value: Any) -> None:
    judge(live, json.dumps(value).encode())


@effort()
@given(VALID, st.data())
def test_any_change_of_some_bytes_is_judged_rightly(
    live: LiveClient, resource: Json, data: st.DataObject
) -> None:
    body = bytearray(orjson.dumps(resource)[:2000])
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"}", b",", b"\\", b"\0", b"0"])
        )
    judge(live, bytes(body))


def judge(live: LiveClient, body: bytes) -> None:
    """Send a body, and compare the answer with what the rules by hand say."""
    try:
        wrong = oracle.wrong_places(oracle.loads(body))
    except oracle.NotJsonError:
        wrong = None
    answer = live.patch(body)
    if wrong is None:
        assert (answer.status, answer.error["code"]) == (400, "02011001"), body
    elif wrong:
        assert (answer.status, answer.error["code"]) == (400, "02011002"), body
        assert places(answer) == wrong
    else:
        assert answer.status == 204, body


ENCODINGS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "none": (bytes, "identity"),
    "gzip": (gzip.compress, "gzip"),
    "two gzip members": (lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]), "x-gzip"),
    "zlib": (zlib.compress, "deflate"),
    "raw deflate": (raw_deflate, "deflate"),
}


@effort()
@given(VALID, st.sampled_from(sorted(ENCODINGS)), st.none() | st.integers(1, 5000))
def test_encoding_and_chunks_make_no_difference(
    live: LiveClient, resource: Json, encoding: str, size: int | None
) -> None:
    resource = resource | {"executionId": str(uuid4())}
    encode, name = ENCODINGS[encoding]
    body = encode(orjson.dumps(resource))
    sent = body if size is None else pieces(body, max(size, len(body) // 50))
    answer = live.patch(sent, **{"Content-Encoding": name})
    assert answer.status == 204, answer.body
    check_stored(resource, live.resource(resource["executionId"]))


@effort()
@given(
    st.sampled_from(sorted(ENCODINGS)),
    st.integers(0, 400),
    st.binary(max_size=20),
    st.sampled_from(["gzip", "deflate"]),
)
def test_a_broken_encoding_is_refused_or_what_it_says(
    live: LiveClient, encoding: str, cut: int, tail: bytes, name: str
) -> None:
    encode, _ = ENCODINGS[encoding]
    body = encode(orjson.dumps({"executionId": "abcd", "tags": [{"name": "a", "value": "b"}] * 9}))
    body = body[:cut] + tail
    answer = live.patch(body, **{"Content-Encoding": name})
    if answer.status != 204:
        assert (answer.status, answer.error["code"]) in {(400, "02011005"), (400, "02011001")}
        return
    assert ENCODINGS[encoding][1].removeprefix("x-") == name
    assert cut >= len(body) - len(tail)
    assert not tail


HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))


@effort()
@given(
    st.sampled_from(
        ["Content-Type", "Content-Encoding", "AI-Resource-Group", "X-Request-ID", "Accept", "X-Any"]
    ),
    HEADER_TEXT
    | st.sampled_from(
        [
            "application/json; charset=utf-8", "application/merge-patch+json", "text/json",
            'APPLICATION/JSON;charset="UTF-8"', "application/json; charset=latin-1", "gzip, br",
            "identity", "default", "-ab", "x" * 254,
        ]
    ),
)  # fmt: skip
def test_any_header_is_answered_in_one_of_four_ways(
    live: LiveClient, name: str, value: str
) -> None:
    answer = live.patch(b'{"executionId":"headers"}', **{name: value})
    expected = {
        "Content-Type": {(415, "02011014")},
        "Content-Encoding": {(415, "02011014"), (400, "02011005")},
        "AI-Resource-Group": {(400, "02011004")},
    }.get(name, set())
    if answer.status != 204:
        assert (answer.status, answer.error["code"]) in expected, answer.body
