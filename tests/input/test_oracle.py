"""The rules by hand agree with the tables of bad input, and with datetime about the calendar."""

import json
from typing import Any

import pytest
from hypothesis import given

from tests.api.refusal import ID
from tests.api.test_bad_input import NOT_A_RESOURCE, NOT_VALID
from tests.contract.strategies import RESOURCES, Instant, instants
from tests.harness.client import EXAMPLE
from tests.input import oracle
from tests.input.effort import effort


@pytest.mark.parametrize("body", [body for body, _ in NOT_A_RESOURCE.values()], ids=NOT_A_RESOURCE)
def test_what_is_not_a_resource_is_wrong(body: Any) -> None:
    assert oracle.wrong_places(body)


@pytest.mark.parametrize(("fields", "place"), NOT_VALID.values(), ids=NOT_VALID)
def test_what_breaks_a_rule_is_wrong_in_one_place(fields: dict[str, Any], place: str) -> None:
    (found,) = oracle.wrong_places({"executionId": ID} | fields)
    if place.startswith("/"):
        assert place.partition(":")[0] == found


@effort()
@given(RESOURCES)
def test_a_valid_resource_is_wrong_nowhere(resource: dict[str, Any]) -> None:
    assert oracle.wrong_places(resource) == set()


def test_the_example_is_wrong_nowhere() -> None:
    assert oracle.wrong_places(EXAMPLE) == set()


@effort()
@given(instants())
def test_canonical_timestamps_are_those_that_datetime_makes(instant: Instant) -> None:
    assert oracle.is_timestamp(instant.text)
    assert oracle.canonical(instant.text) == instant.canonical


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"NaN", b"[1e400]", rb'"\ud800"', b"\xff", b"\xef\xbb\xbf1", b"9" * 400],
    ids=str,
)
def test_what_is_not_json_is_not_json(body: bytes) -> None:
    with pytest.raises(oracle.NotJsonError):
        oracle.loads(body)


def test_other_json_is_what_it_is() -> None:
    assert oracle.loads(json.dumps(EXAMPLE).encode()) == EXAMPLE
    assert oracle.loads(b"18446744073709551616") == 2.0**64
