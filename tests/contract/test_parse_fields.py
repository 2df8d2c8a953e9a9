"""Types, numbers, nulls and unknown fields: what is accepted, and where a violation points."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.parse import InvalidUpdateError, UpdateParser
from ingest.contract.violations import MAX_VIOLATIONS, Violation
from tests.contract.strategies import RESOURCES, Json
from tests.contract.test_parse_limits import METRIC, PAIR, update, violations
from tests.harness.client import EXAMPLE

PARSER = UpdateParser()


def metric_with(field: str, text: str) -> bytes:
    return b'{"executionId":"abcd","metrics":[{"name":"a","value":1,"%b":%b}]}' % (
        field.encode(),
        text.encode(),
    )


def test_the_example_of_the_documentation_is_accepted_as_it_stands() -> None:
    assert PARSER.parse(orjson.dumps(EXAMPLE)) == EXAMPLE


def test_only_an_execution_id_is_needed() -> None:
    assert PARSER.parse(b'{"executionId":"abcd"}') == {"executionId": "abcd"}
    assert violations({}) == [Violation("", '"executionId" is missing')]


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-0.0",
        "0.98",
        "1e308",
        "-1e308",
        "1e-320",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
    ],
)
def test_a_value_may_be_any_number_that_a_double_or_64_bits_can_hold(value: str) -> None:
    assert (
        violations(b'{"executionId":"abcd","metrics":[{"name":"a","value":%b}]}' % value.encode())
        == []
    )


@pytest.mark.parametrize("value", [True, False, None, "1", "NaN", [], {}, [1]], ids=repr)
def test_a_value_that_is_no_number_is_refused(value: Any) -> None:
    (violation,) = violations(update(metrics=[METRIC, {"name": "a", "value": value}]))
    assert violation.pointer == "/metrics/1/value"
    shown = "a list" if value == [1] else orjson.dumps(value).decode()
    assert violation.reason == f"must be a number, but is {shown}"


@pytest.mark.parametrize("step", ["0", "1", "1.0", "1e3", "9223372036854775807", "null", "-0"])
def test_a_step_may_be_a_whole_number_up_to_63_bits_or_null(step: str) -> None:
    assert violations(metric_with("step", step)) == []


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("-1", "-1 is less than 0"),
        ("9223372036854775808", "9223372036854775808 is greater than 9223372036854775807"),
        ("1e30", "1e+30 is greater than 9223372036854775807"),
        ("1.5", "must be null or an integer, but is 1.5"),
        ("true", "must be null or an integer, but is true"),
        ('"1"', 'must be null or an integer, but is "1"'),
        ("[]", "must be null or an integer, but is []"),
    ],
)
def test_any_other_step_is_refused(step: str, reason: str) -> None:
    assert violations(metric_with("step", step)) == [Violation("/metrics/0/step", reason)]


@pytest.mark.parametrize("field", ["timestamp", "step", "labels"])
def test_inside_a_metric_null_means_absent(field: str) -> None:
    assert violations(metric_with(field, "null")) == []


@pytest.mark.parametrize("section", ["metrics", "tags", "customInfo"])
def test_a_section_may_be_empty_but_not_null_nor_anything_else(section: str) -> None:
    assert violations(update(**{section: []})) == []
    values: list[Any] = [None, {}, "x", 5, True]
    for value in values:
        (violation,) = violations(update(**{section: value}))
        assert violation.pointer == f"/{section}"
        assert violation.reason.startswith("must be a list, but is ")


@pytest.mark.parametrize("value", [None, 5, True, "", "x" * 999], ids=repr)
def test_created_and_modified_are_ignored_whatever_value_they_hold(value: Any) -> None:
    assert violations(update(createdAt=value, modifiedAt=value)) == []


@pytest.mark.parametrize("value", [[], {"a": [1]}], ids=repr)
def test_created_and_modified_hold_no_lists_or_objects_that_could_be_nested(value: Any) -> None:
    (violation,) = violations(update(createdAt=value))
    assert violation.pointer == "/createdAt"


@pytest.mark.parametrize(
    ("resource", "pointer"),
    [
        (update(foo=1), ""),
        (update(metrics=[METRIC, {**METRIC, "foo": 1}]), "/metrics/1"),
        (update(metrics=[{**METRIC, "labels": [{**PAIR, "foo": 1}]}]), "/metrics/0/labels/0"),
        (update(tags=[{**PAIR, "foo": 1}]), "/tags/0"),
        (update(customInfo=[{**PAIR, "foo": None}]), "/customInfo/0"),
        (update(metrics=[{**METRIC, "createdAt": 1, "foo": 1}]), "/metrics/0"),
    ],
    ids=["update", "metric", "label", "tag", "customInfo", "createdAt in a metric"],
)
def test_an_unknown_field_is_refused_at_every_level_and_named(resource: Json, pointer: str) -> None:
    (violation,) = violations(resource)
    assert violation.pointer == pointer
    assert violation.reason.startswith("unknown field ")
    assert '"foo"' in violation.reason


@pytest.mark.parametrize("field", ["name", "value"])
@pytest.mark.parametrize("section", ["metrics", "tags", "customInfo"])
def test_name_and_value_are_required_and_of_their_type(section: str, field: str) -> None:
    item = METRIC if section == "metrics" else PAIR
    without = {name: value for name, value in item.items() if name != field}
    assert violations(update(**{section: [item, without]})) == [
        Violation(f"/{section}/1", f'"{field}" is missing')
    ]
    (violation,) = violations(update(**{section: [{**item, field: None}]}))
    assert violation.pointer == f"/{section}/0/{field}"


@pytest.mark.parametrize("item", [None, 1, "x", [], True], ids=repr)
def test_an_item_that_is_no_object_is_refused(item: Any) -> None:
    for section in ("metrics", "tags", "customInfo"):
        (violation,) = violations(update(**{section: [item]}))
        assert violation.pointer == f"/{section}/0"


@pytest.mark.parametrize("resource", [None, [], "abcd", 5, True, [{"executionId": "abcd"}]])
def test_a_body_that_is_no_object_is_refused(resource: Any) -> None:
    (violation,) = violations(resource)
    assert str(violation).startswith("(body): must be an object, but is ")


def test_every_violation_is_reported_with_its_place() -> None:
    resource = {
        "executionId": "x",
        "metrics": [{"name": "", "value": "1", "step": -1}, 5, {}],
        "tags": None,
        "customInfo": [{"name": "", "value": 5}],
        "tag": [],
    }
    assert sorted(violation.pointer for violation in violations(resource)) == [
        "",
        "/customInfo/0/name",
        "/customInfo/0/value",
        "/executionId",
        "/metrics/0/name",
        "/metrics/0/step",
        "/metrics/0/value",
        "/metrics/1",
        "/metrics/2",
        "/metrics/2",
        "/tags",
    ]


def test_more_violations_than_anybody_reads_are_cut_off_and_said_to_be() -> None:
    exactly = violations(update(metrics=[{"name": "a"}] * MAX_VIOLATIONS))
    assert len(exactly) == MAX_VIOLATIONS
    more = violations(update(metrics=[{}] * 1000))
    assert len(more) == MAX_VIOLATIONS + 1
    assert more[-1].reason == f"and more: only the first {MAX_VIOLATIONS} are listed"


def test_the_error_itself_stays_short() -> None:
    with pytest.raises(InvalidUpdateError) as caught:
        PARSER.parse(orjson.dumps(update(metrics=[{"name": "\u00e9" * 300}] * 1000)))
    assert len(str(caught.value)) < 1000


@given(RESOURCES)
def test_every_valid_update_is_accepted_as_it_was_sent(resource: Json) -> None:
    assert PARSER.parse(orjson.dumps(resource)) == resource


_BAD_TEXTS: list[Any] = ["", "x" * 257, None, 5, True, [], {}]
_FORBIDDEN: dict[str, list[Any]] = {
    "/executionId": ["abc", "x" * 65, "abc\u00e9", "abcd\n", None, 5, []],
    "/metrics/0": [None, 5, "x", []],
    "/metrics/0/name": [*_BAD_TEXTS, "\u00e9"],
    "/metrics/0/value": ["1", None, True, [], {}],
    "/metrics/0/timestamp": ["", "2020-11-12", 5, True, "2020-02-30T00:00:00Z"],
    "/metrics/0/step": [-1, 2**63, 0.5, "1", True],
    "/metrics/0/labels": ["x", 5, {}, [PAIR] * 21],
    "/metrics/0/labels/0/name": _BAD_TEXTS,
    "/metrics/0/labels/0/value": _BAD_TEXTS,
    "/metrics": [None, {}, "x", [METRIC] * 1001],
    "/tags": [None, {}, "x", [PAIR] * 101],
    "/tags/0/name": _BAD_TEXTS,
    "/tags/0/value": _BAD_TEXTS,
    "/customInfo": [None, {}, 5, [PAIR] * 101],
    "/customInfo/0/name": _BAD_TEXTS,
    "/customInfo/0/value": _BAD_TEXTS,
}


@given(
    RESOURCES,
    st.sampled_from([(pointer, bad) for pointer, all_bad in _FORBIDDEN.items() for bad in all_bad]),
)
def test_one_forbidden_value_in_a_valid_update_is_refused_with_its_pointer(
    resource: Json, mutation: tuple[str, Any]
) -> None:
    pointer, bad = mutation
    whole: Any = orjson.loads(orjson.dumps({**resource, "metrics": [{**METRIC, "labels": [PAIR]}]}))
    whole |= {"tags": [dict(PAIR)], "customInfo": [dict(PAIR)]}
    assert violations(whole) == []

    *path, last = [int(part) if part.isdigit() else part for part in pointer.split("/")[1:]]
    place = whole
    for part in path:
        place = place[part]
    place[last] = bad
    assert {violation.pointer for violation in violations(whole)} == {pointer}
