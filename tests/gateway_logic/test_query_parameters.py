"""The query parameters of GET and DELETE."""

import re

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from ingest.errors import Error, RequestError
from ingest.query_parameters import FILTER_PATTERN, Query, parse_execution_id, parse_query
from ingest.tag_filters import TagFilter
from tests.contract.strategies import EXECUTION_IDS

ID = "run.1"
# By an engine that reads patterns as JSON Schema has them.
PUBLISHED = jsonschema_rs.Draft202012Validator({"pattern": FILTER_PATTERN})
ALL = frozenset({"metrics", "tags", "customInfo"})
UNSUPPORTED = "is none of executionId eq '...' and executionId in ('...','...')"


def parsed(*parameters: tuple[str, str]) -> Query:
    return parse_query(MultiDict(parameters))


def problems(*parameters: tuple[str, str]) -> list[str]:
    with pytest.raises(RequestError) as caught:
        parsed(*parameters)
    assert caught.value.failure is Error.QUERY_INVALID.value
    assert all(len(problem) < 200 for problem in caught.value.details)
    return caught.value.details


def test_without_further_parameters_everything_of_the_first_thousand_is_asked_for() -> None:
    assert parsed(("executionIds", ID)) == Query([ID], [], ALL, top=1000, skip=0)


def test_unknown_parameters_are_ignored() -> None:
    assert parsed(("executionIds", ID), ("$orderby", "x")) == parsed(("executionIds", ID))


@given(st.lists(EXECUTION_IDS, min_size=1, max_size=10, unique=True))
def test_one_to_ten_ids_are_taken_in_either_way_of_writing(ids: list[str]) -> None:
    listed = parsed(("executionIds", ",".join(ids)))
    quoted = ", ".join(f"'{one}'" for one in ids)
    assert listed.execution_ids == ids
    assert parsed(("$filter", f"executionId in ({quoted})")) == listed
    assert parsed(*(("executionIds", one) for one in ids)) == listed


@pytest.mark.parametrize("name", ["executionIds", "$filter"])
def test_eleven_ids_are_too_many(name: str) -> None:
    ids = [f"run.{number}" for number in range(11)]
    text = ",".join(ids)
    if name == "$filter":
        text = "executionId in ('" + "','".join(ids) + "')"
    assert problems((name, text)) == [f"{name}: has 11 ids, at most 10 are allowed"]


def test_an_id_given_twice_counts_once() -> None:
    assert parsed(("executionIds", f"{ID},{ID}")).execution_ids == [ID]
    assert len(parsed(("executionIds", ",".join([ID] * 11))).execution_ids) == 1


@pytest.mark.parametrize("bad", ["", "abc", "x" * 65, "ab cd", "ab/cd", "\u00e9\u00e9\u00e9\u00e9"])
def test_every_id_that_is_none_is_reported(bad: str) -> None:
    (problem,) = problems(("executionIds", f"{ID},{bad}"))
    assert problem.startswith(f"executionIds: {bad[:60]!r} is not an execution id")
    assert len(problems(("executionIds", "a,b,c,run.1"))) == 3


@pytest.mark.parametrize(
    "expression",
    [
        "executionId eq 'run.1'",
        "  executionId   eq   'run.1' ",
        "executionId EQ 'run.1'",
        "executionId in ('run.1')",
        "executionId in('run.1')",
        "executionId in ( 'run.1' , 'run.1' )",
    ],
)
def test_the_two_supported_filters(expression: str) -> None:
    assert parsed(("$filter", expression)).execution_ids == [ID]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "run.1",
        "executionId",
        "executionId eq run.1",
        'executionId eq "run.1"',
        "executionId ne 'run.1'",
        "executionIdeq'run.1'",
        "scenarioId eq 'run.1'",
        "executionId eq 'run.1' or executionId eq 'run.2'",
        "executionId eq 'run.1' and true",
        "executionId in ()",
        "executionId in ('run.1',)",
        "executionId in ('run.1' 'run.2')",
        "executionId in 'run.1'",
        "executionId eq ('run.1')",
        "not executionId eq 'run.1'",
    ],
)
def test_any_other_filter_is_refused(expression: str) -> None:
    assert problems(("$filter", expression)) == [f"$filter: {expression[:60]!r} {UNSUPPORTED}"]


def test_an_id_inside_a_filter_is_checked_too() -> None:
    (problem,) = problems(("$filter", "executionId eq 'a b'"))
    assert problem.startswith("$filter: 'a b' is not an execution id")


def test_a_filter_made_to_make_a_regular_expression_slow_is_refused_at_once() -> None:
    expression = "executionId in ('" + "a','" * 2000 + " " * 5000
    assert problems(("$filter", expression)) == [f"$filter: {expression[:60]!r} {UNSUPPORTED}"]


def test_execution_ids_and_filter_exclude_each_other() -> None:
    (problem,) = problems(("executionIds", ID), ("$filter", f"executionId eq '{ID}'"))
    assert "not both" in problem


def test_one_of_them_is_needed_unless_there_are_tag_filters() -> None:
    (problem,) = problems()
    assert "executionIds: is missing" in problem
    assert parsed(("tagFilters", "a")) == Query([], [TagFilter("a", None)], ALL, 1000, 0)


def test_tag_filters_may_come_with_ids_and_repeated_ones_are_one_list() -> None:
    query = parsed(("executionIds", ID), ("tagFilters", "a=1"), ("tagFilters", "b!=2,c"))
    assert query.execution_ids == [ID]
    assert query.tag_filters == [
        TagFilter("a", "1"),
        TagFilter("b", "2", negated=True),
        TagFilter("c", None),
    ]


@pytest.mark.parametrize(
    ("select", "sections"),
    [
        ("metrics", {"metrics"}),
        ("tags,customInfo", {"tags", "customInfo"}),
        ("tags, metrics", {"tags", "metrics"}),
        ("*", ALL),
        ("tags,*", ALL),
        ("tags,tags", {"tags"}),
    ],
)
def test_select_chooses_sections(select: str, sections: set[str]) -> None:
    assert parsed(("executionIds", ID), ("$select", select)).sections == sections
    repeated = [("$select", one) for one in select.split(",")]
    assert parsed(("executionIds", ID), *repeated).sections == sections


@pytest.mark.parametrize("select", ["", "metric", "Metrics", "tags,", "executionId", "**", "all"])
def test_any_other_section_is_refused(select: str) -> None:
    (problem,) = problems(("executionIds", ID), ("$select", select))
    assert problem.startswith("$select: ")


def test_every_unknown_section_is_reported() -> None:
    text = "\n".join(problems(("executionIds", ID), ("$select", "metric,tag,customInfo")))
    assert re.search("'metric'", text)
    assert re.search("'tag'", text)


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10000", 10000), ("0010", 10)])
def test_top_at_its_bounds(text: str, number: int) -> None:
    assert parsed(("executionIds", ID), ("$top", text)).top == number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("2147483647", 2**31 - 1)])
def test_skip_at_its_bounds(text: str, number: int) -> None:
    assert parsed(("executionIds", ID), ("$skip", text)).skip == number


_NO_NUMBERS = ["", "-1", "+1", "1.0", "1e3", " 1", "1_0", "x", "\u0663", "\u00b2", "9" * 5000]


@pytest.mark.parametrize("text", ["0", "10001", *_NO_NUMBERS])
def test_any_other_top_is_refused(text: str) -> None:
    (problem,) = problems(("executionIds", ID), ("$top", text))
    assert problem == f"$top: {text[:60]!r} is not an integer from 1 to 10000"


@pytest.mark.parametrize("text", ["2147483648", *_NO_NUMBERS])
def test_any_other_skip_is_refused(text: str) -> None:
    (problem,) = problems(("executionIds", ID), ("$skip", text))
    assert problem == f"$skip: {text[:60]!r} is not an integer from 0 to 2147483647"


def test_every_violation_of_a_query_is_reported() -> None:
    everything = problems(
        ("executionIds", "a,b"),
        ("tagFilters", "=x"),
        ("$select", "x"),
        ("$top", "0"),
        ("$skip", "-1"),
    )
    assert [problem.split(":")[0] for problem in everything] == [
        "executionIds",
        "executionIds",
        "tagFilters",
        "$select",
        "$top",
        "$skip",
    ]


@given(EXECUTION_IDS)
def test_delete_takes_one_execution_id(execution_id: str) -> None:
    assert parse_execution_id({"executionId": execution_id}) == execution_id


@pytest.mark.parametrize("bad", [None, "", "abc", "run.1,run.2", "x" * 65, "abcd\n"])
def test_delete_refuses_anything_else(bad: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        parse_execution_id({} if bad is None else {"executionId": bad})
    assert caught.value.failure is Error.QUERY_INVALID.value
    assert "executionId: " in caught.value.details[0]


@given(
    st.sampled_from(
        ["executionId", "EXECUTIONID", "executionId ", " executionid", "execution\u0131d"]
    ),
    st.sampled_from([" eq ", " EQ  ", "eq ", " in ", " In(", " eq\t", " in ("]),
    st.lists(st.sampled_from(["'run.1'", "'abc'", "'x' ", "run.1", "'a b c'"]), max_size=12),
    st.sampled_from([",", ", ", " ,", " "]),
    st.sampled_from(["", ")", " ) ", "\n"]),
)
def test_the_published_filter_pattern_is_what_is_accepted(
    name: str, operator: str, ids: list[str], separator: str, end: str
) -> None:
    expression = name + operator + separator.join(ids) + end
    try:
        parsed(("$filter", expression))
    except RequestError:
        assert not PUBLISHED.is_valid(expression)
    else:
        # An id that is given twice counts once, however often.
        assert PUBLISHED.is_valid(expression) or len(ids) > 10


def test_letters_that_only_look_alike_are_no_filter() -> None:
    # Python's own flag for upper and lower case takes a dotless i for an i.
    expression = "execut\u0131onId eq 'run.1'"
    assert problems(("$filter", expression)) == [f"$filter: {expression!r} {UNSUPPORTED}"]
