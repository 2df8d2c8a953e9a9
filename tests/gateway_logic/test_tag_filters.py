"""tagFilters: splitting, decoding, limits, and what holds."""

from urllib.parse import quote

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.tag_filters import FILTERS_PATTERN, MAX_FILTERS, TagFilter, parse_tag_filters
from tests.contract.strategies import texts

# By an engine that reads patterns as JSON Schema has them.
PUBLISHED = jsonschema_rs.Draft202012Validator({"pattern": FILTERS_PATTERN})


def encoded(one: TagFilter) -> str:
    name = quote(one.name, safe="")
    if one.value is None:
        return name
    return f"{name}{'!=' if one.negated else '='}{quote(one.value, safe='')}"


FILTERS = st.one_of(
    st.builds(TagFilter, texts(9), st.none()),
    st.builds(TagFilter, texts(9), texts(9), st.booleans()),
    st.builds(TagFilter, st.text("!=,%&#+", min_size=1), st.text("!=,%&#+", min_size=1)),
)


@given(st.lists(FILTERS, min_size=1, max_size=10))
def test_any_filters_survive_encoding_and_parsing(filters: list[TagFilter]) -> None:
    assert parse_tag_filters(",".join(map(encoded, filters))) == filters


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("a", [TagFilter("a", None)]),
        ("a=b", [TagFilter("a", "b")]),
        ("a!=b", [TagFilter("a", "b", negated=True)]),
        ("a=b=c", [TagFilter("a", "b=c")]),
        ("a=b!=c", [TagFilter("a", "b!=c")]),
        ("a!=b=c", [TagFilter("a", "b=c", negated=True)]),
        ("a==b", [TagFilter("a", "=b")]),
        ("a!b=c", [TagFilter("a!b", "c")]),
        ("a!", [TagFilter("a!", None)]),
        ("a=b,c", [TagFilter("a", "b"), TagFilter("c", None)]),
        ("a b=c d", [TagFilter("a b", "c d")]),
        ("a+b=c", [TagFilter("a+b", "c")]),
        ("a%3Db%21=%2C%25", [TagFilter("a=b!", ",%")]),
        ("%C3%A9=\u00e9", [TagFilter("\u00e9", "\u00e9")]),
        ("a%253D=b", [TagFilter("a%3D", "b")]),
    ],
)
def test_a_filter_is_split_at_its_first_sign_and_decoded_after_that(
    text: str, filters: list[TagFilter]
) -> None:
    assert parse_tag_filters(text) == filters


@pytest.mark.parametrize("text", ["", "=", "!=", "=a", "!=a", "a=", "a!=", "a,", ",a", "a,,b"])
def test_a_filter_without_a_name_or_with_an_empty_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is none of name=value, name!=value and name"):
        parse_tag_filters(text)


@pytest.mark.parametrize("text", ["%FF", "a=%C3", "%ED%A0%80=a"])
def test_what_is_not_percent_encoded_utf8_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not percent-encoded UTF-8"):
        parse_tag_filters(text)


def test_a_hundred_filters_and_no_more() -> None:
    assert len(parse_tag_filters(",".join(["a"] * 100))) == 100
    with pytest.raises(ValueError, match="has 101 filters, at most 100 are allowed"):
        parse_tag_filters(",".join(["a"] * 101))


def test_five_thousand_characters_and_no_more() -> None:
    assert parse_tag_filters("a=" + "x" * 4998) == [TagFilter("a", "x" * 4998)]
    with pytest.raises(ValueError, match="is 5001 characters long, at most 5000 are allowed"):
        parse_tag_filters("a=" + "x" * 4999)


def test_the_reason_shows_the_filter_shortened() -> None:
    with pytest.raises(ValueError, match="is none of") as caught:
        parse_tag_filters("=" + "x" * 4000)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("text", "holding"),
    [("stage", {"test", "prod"}), ("stage=test", {"test"}), ("stage!=test", {"prod", None})],
)
def test_what_holds_for_a_tag_s_value_or_its_absence(text: str, holding: set[str | None]) -> None:
    (one,) = parse_tag_filters(text)
    values: list[str | None] = ["test", "prod", None]
    tags = {value: {} if value is None else {"stage": value} for value in values}
    assert {value for value in values if one.holds({"other": "test", **tags[value]})} == holding


@given(st.text("z=!,%é \n", max_size=12))
def test_the_published_pattern_is_what_is_accepted(text: str) -> None:
    try:
        parse_tag_filters(text)
    except ValueError:
        assert not PUBLISHED.is_valid(text)
    else:
        assert PUBLISHED.is_valid(text)


def test_the_published_pattern_has_the_limit_of_the_parser() -> None:
    assert PUBLISHED.is_valid(",".join(["a"] * MAX_FILTERS))
    assert not PUBLISHED.is_valid(",".join(["a"] * (MAX_FILTERS + 1)))
