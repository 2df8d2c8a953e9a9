"""Bodies of very many values are refused before they are parsed; commas in texts don't count."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.complexity import MAX_VALUES, has_too_many_values
from ingest.contract.parse import InvalidUpdateError, UpdateParser

PARSER = UpdateParser()
LABELS = [{"name": f"{n}", "value": '[{"a,\\": 1}],[{' * 17} for n in range(20)]
METRIC = {"name": "m,[{", "value": 1, "step": 1, "timestamp": "2026-01-01T00:00:00Z"}
LARGEST: dict[str, Any] = {
    "executionId": "a-run",
    "createdAt": None,
    "modifiedAt": None,
    "metrics": [METRIC | {"labels": LABELS}] * 1000,
    "tags": [LABELS[0]] * 100,
    "customInfo": [LABELS[0]] * 100,
}


def values(value: Any) -> int:
    """Count by the definition: one for the value, and those in it."""
    if isinstance(value, dict):
        return 1 + sum(map(values, value.values()))
    return 1 + sum(map(values, value)) if isinstance(value, list) else 1


def test_the_update_with_the_most_values_is_accepted_whatever_its_texts_hold() -> None:
    body = orjson.dumps(LARGEST)
    assert body.count(b",") > MAX_VALUES
    assert values(LARGEST) <= MAX_VALUES // 4
    assert not has_too_many_values(body)
    PARSER.parse(body)


def empty_containers(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return sum(map(empty_containers, inner)) if value else 1


@pytest.mark.parametrize(
    "many",
    [b"[]", b"{}", b"0", b'""', b'"\\\\"', b'"\\""', b'{"a":0}', b"[[]]"],
    ids=repr,
)
def test_more_values_than_any_update_has_are_refused_unparsed(many: bytes) -> None:
    body = b'{"metrics":[' + b",".join([many] * (MAX_VALUES + 1)) + b"]}"
    with pytest.raises(InvalidUpdateError, match="values"):
        PARSER.parse(body)


texts = st.text(alphabet='ab,[{}]"\\\n', max_size=8)
documents = st.recursive(
    texts | st.integers(0, 9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(texts, inner, max_size=6),
)


@given(st.lists(documents, min_size=1))
def test_the_count_is_that_of_the_values_below_the_first_plus_the_empty_containers(
    document: Any,
) -> None:
    body = orjson.dumps(document)
    expected = values(document) - 1 + empty_containers(document)
    assert not has_too_many_values(body, expected)
    assert has_too_many_values(body, expected - 1)
