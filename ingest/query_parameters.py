"""The query parameters of GET and DELETE: text in, a checked query or every violation out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from multidict import MultiMapping

from ingest.contract.resource import EXECUTION_ID_PATTERN
from ingest.errors import Error, RequestError
from ingest.tag_filters import TagFilter, parse_tag_filters

MAX_EXECUTION_IDS = 10
MAX_TOP = 10_000
DEFAULT_TOP = 1000
MAX_SKIP = 2**31 - 1
SECTIONS = ("metrics", "tags", "customInfo")

_EXECUTION_ID = re.compile(EXECUTION_ID_PATTERN)


def _any_case(word: str) -> str:
    """Write a pattern for a word in upper or lower case: JSON Schema has no flag for it."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" for letter in word)


def _filter_eq(quoted: str) -> str:
    return rf" *{_any_case('executionId')} +{_any_case('eq')} +{quoted} *"


def _filter_in(quoted: str, more: str) -> str:
    listed = rf"{quoted}(?: *, *{quoted}){more}"
    return rf" *{_any_case('executionId')} +{_any_case('in')} *\( *({listed}) *\) *"


# With any text between the quotes, so that an id that is none can be named.
_QUOTED = "'([^']*)'"
_FILTER_EQ = re.compile(_filter_eq(_QUOTED))
_FILTER_IN = re.compile(_filter_in(_QUOTED, "*"))

# What is accepted of it, for those who read /openapi.json.
_QUOTED_ID = f"'{EXECUTION_ID_PATTERN[1:-1]}'"
FILTER_PATTERN = (
    f"^({_filter_eq(_QUOTED_ID)}|{_filter_in(_QUOTED_ID, f'{{0,{MAX_EXECUTION_IDS - 1}}}')})$"
)


@dataclass(frozen=True, slots=True)
class Query:
    """What a GET asks for. Without execution ids it asks the whole group, by tag filters."""

    execution_ids: list[str]
    tag_filters: list[TagFilter]
    sections: frozenset[str]
    top: int
    skip: int


def parse_query(parameters: MultiMapping[str]) -> Query:
    """Parse the parameters of a GET. Parameters that it does not know are ignored.

    Raises:
        RequestError: QUERY_INVALID with every violation.
    """
    problems: list[str] = []
    query = Query(
        _execution_ids(parameters, problems),
        _tag_filters(parameters, problems),
        _sections(parameters, problems),
        _integer(parameters, "$top", (1, MAX_TOP), DEFAULT_TOP, problems),
        _integer(parameters, "$skip", (0, MAX_SKIP), 0, problems),
    )
    if problems:
        raise RequestError(Error.QUERY_INVALID, problems)
    return query


def parse_execution_id(parameters: Mapping[str, str]) -> str:
    """Parse the parameter of a DELETE.

    Raises:
        RequestError: QUERY_INVALID.
    """
    value = parameters.get("executionId")
    if value is None:
        problem = "executionId: is missing; say which execution's metrics to delete"
        raise RequestError(Error.QUERY_INVALID, [problem])
    if _EXECUTION_ID.fullmatch(value) is None:
        raise RequestError(Error.QUERY_INVALID, [f"executionId: {_not_an_id(value)}"])
    return value


def _joined(parameters: MultiMapping[str], name: str) -> str | None:
    """Return a list parameter; given more than once, it is one list."""
    values = parameters.getall(name, [])
    return ",".join(values) if values else None


def _not_an_id(value: str) -> str:
    return f"{value[:60]!r} is not an execution id: 4 to 64 letters, digits, '_', '.', '-'"


def _execution_ids(parameters: MultiMapping[str], problems: list[str]) -> list[str]:
    listed = _joined(parameters, "executionIds")
    expression = parameters.get("$filter")
    if listed is not None and expression is not None:
        problems.append("executionIds, $filter: give one of the two, not both")
        return []
    if listed is None and expression is None:
        if "tagFilters" not in parameters:
            problems.append("executionIds: is missing; give executionIds, $filter or tagFilters")
        return []
    where = "executionIds" if listed is not None else "$filter"
    ids = listed.split(",") if listed is not None else _filter_ids(expression or "")
    if ids is None:
        problems.append(
            f"$filter: {(expression or '')[:60]!r} is none of executionId eq '...' and "
            "executionId in ('...','...')"
        )
        return []
    ids = list(dict.fromkeys(ids))
    if len(ids) > MAX_EXECUTION_IDS:
        problems.append(f"{where}: has {len(ids)} ids, at most {MAX_EXECUTION_IDS} are allowed")
    problems.extend(
        f"{where}: {_not_an_id(value)}" for value in ids[:100] if not _EXECUTION_ID.fullmatch(value)
    )
    return ids


def _filter_ids(expression: str) -> list[str] | None:
    if match := _FILTER_EQ.fullmatch(expression):
        return [match[1]]
    if match := _FILTER_IN.fullmatch(expression):
        return re.findall(_QUOTED, match[1])
    return None


def _tag_filters(parameters: MultiMapping[str], problems: list[str]) -> list[TagFilter]:
    listed = _joined(parameters, "tagFilters")
    if listed is None:
        return []
    try:
        return parse_tag_filters(listed)
    except ValueError as error:
        problems.append(f"tagFilters: {error}")
        return []


def _sections(parameters: MultiMapping[str], problems: list[str]) -> frozenset[str]:
    listed = _joined(parameters, "$select")
    if listed is None:
        return frozenset(SECTIONS)
    names = {name.strip() for name in listed.split(",")}
    unknown = sorted(names - {"*", *SECTIONS})
    problems.extend(
        f"$select: {name[:60]!r} is none of metrics, tags, customInfo and *" for name in unknown
    )
    return frozenset(SECTIONS if "*" in names else names)


def _integer(
    parameters: MultiMapping[str],
    name: str,
    bounds: tuple[int, int],
    default: int,
    problems: list[str],
) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    low, high = bounds
    if not (text.isascii() and text.isdigit() and len(text) < len(str(high)) + 1) or not (
        low <= int(text) <= high
    ):
        problems.append(f"{name}: {text[:60]!r} is not an integer from {low} to {high}")
        return default
    return int(text)
