"""What `send` reads: JSON lines or one document, in whatever pieces it comes."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.remote.updates import Item, Malformed, Update, UpdateReader

A = {"executionId": "run-a", "metrics": [{"name": "loss", "value": 1}]}
B = {"executionId": "run-b"}
ANSWER = {"count": 2, "resources": [A, B]}

values = st.lists(st.fixed_dictionaries({"executionId": st.text(min_size=1)}), max_size=5)


def read(content: bytes, cuts: list[int] | None = None) -> list[Item]:
    reader = UpdateReader()
    edges = [0, *sorted(cut % (len(content) + 1) for cut in cuts or []), len(content)]
    items = [item for start, end in pairwise(edges) for item in reader.feed(content[start:end])]
    return items + list(reader.finish())


def seen(content: bytes, cuts: list[int] | None = None) -> list[tuple[str, Any]]:
    return [
        (one.place, one.resource if isinstance(one, Update) else Malformed)
        for one in read(content, cuts)
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (json.dumps(A), [("the input", A)]),
        (json.dumps(A) + "\n", [("line 1", A)]),
        (json.dumps(A, indent=2), [("the input", A)]),
        (json.dumps(A, indent="\t") + "\r\n", [("the input", A)]),
        (f"{json.dumps(A)}\n{json.dumps(B)}", [("line 1", A), ("line 2", B)]),
        (f"\n\n{json.dumps(A)}\r\n \r\n{json.dumps(B)}\r\n", [("line 3", A), ("line 5", B)]),
        (json.dumps([A, B]), [("item 1", A), ("item 2", B)]),
        (json.dumps([A, B]) + "\n", [("item 1", A), ("item 2", B)]),
        (json.dumps([A, B], indent=1), [("item 1", A), ("item 2", B)]),
        (json.dumps(ANSWER), [("item 1", A), ("item 2", B)]),
        (json.dumps(ANSWER) + "\n", [("line 1, item 1", A), ("line 1, item 2", B)]),
        ("\ufeff" + json.dumps(A) + "\n", [("line 1", A)]),
        ("\ufeff" + json.dumps([A]), [("item 1", A)]),
        ("", []),
        (" \n\n ", []),
        ("[]", []),
        ("7\n", [("line 1", 7)]),  # the gateway says what is wrong with it
        ('{"executionId": "run-a", }\n' + json.dumps(B), [("line 1", Malformed), ("line 2", B)]),
        (f"{json.dumps(A)}\nno JSON\n{json.dumps(B)}", [
            ("line 1", A), ("line 2", Malformed), ("line 3", B),
        ]),
        ('{"executionId":\n"run-a"', [("the input", Malformed)]),
        ("no JSON", [("the input", Malformed)]),
    ],
)  # fmt: skip
def test_lines_and_documents_are_told_apart(content: str, expected: list[tuple[str, Any]]) -> None:
    assert seen(content.encode()) == expected


@given(values, st.sampled_from(["lines", "array", "pretty"]), st.lists(st.integers(0, 10_000)))
def test_it_does_not_matter_in_which_pieces_the_input_comes(
    updates: list[dict[str, Any]], form: str, cuts: list[int]
) -> None:
    if form == "lines":
        content = "".join(json.dumps(one) + "\n" for one in updates).encode()
    else:
        content = json.dumps(updates, indent=2 if form == "pretty" else None).encode()
    assert seen(content, cuts) == seen(content)
    assert [resource for _, resource in seen(content)] == updates


@given(updates=values, as_lines=st.booleans())
def test_the_bytes_of_all_items_are_those_of_the_input(
    *, updates: list[dict[str, Any]], as_lines: bool
) -> None:
    dumped = [json.dumps(one) for one in updates]
    content = "".join(one + "\n" for one in dumped) if as_lines else f"[{', '.join(dumped)}]"
    assert sum(one.bytes for one in read(content.encode())) == len(content) * bool(updates)


def test_a_number_that_is_none_is_pointed_out() -> None:
    (item,) = read(b'{"executionId": "run-a", "metrics": [{"name": "loss", "value": NaN}]}')
    assert isinstance(item, Malformed)
    assert "JSON has no NaN" in item.reason
