"""The parameters of the document, with the limits of the modules that parse them."""

from typing import Any

from ingest.contract.resource import EXECUTION_ID_PATTERN, RESOURCE_GROUP_PATTERN
from ingest.openapi.example import EXAMPLE, EXECUTION_ID, RESOURCE_GROUP
from ingest.query_parameters import (
    DEFAULT_TOP,
    FILTER_PATTERN,
    MAX_EXECUTION_IDS,
    MAX_SKIP,
    MAX_TOP,
    SECTIONS,
)
from ingest.tag_filters import FILTERS_PATTERN, MAX_CHARS, MAX_FILTERS

Parameter = dict[str, Any]

(_TAG,) = EXAMPLE["tags"]
_EXECUTION_ID = {"type": "string", "pattern": EXECUTION_ID_PATTERN}
# Lists are joined by commas; given more than once, a parameter is one list.
_JOINED = {"style": "form", "explode": False}

_HEADERS: dict[str, Parameter] = {
    "AI-Resource-Group": {
        "in": "header",
        "required": True,
        "description": "The resource group the executions belong to.",
        "schema": {"type": "string", "pattern": RESOURCE_GROUP_PATTERN},
        "example": RESOURCE_GROUP,
    },
    "X-Request-ID": {
        "in": "header",
        "description": "An id to find the request by: 1 to 128 of `A-Za-z0-9_.:/+=@-`. Anything "
        "else is replaced by a new id.",
        "schema": {"type": "string"},
    },
}
_QUERY: dict[str, Parameter] = {
    "executionIds": {
        "in": "query",
        "description": f"1 to {MAX_EXECUTION_IDS} execution ids; one given twice counts once. "
        "Give this or `$filter`, not both; with `tagFilters` neither is needed.",
        **_JOINED,
        "schema": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_EXECUTION_IDS,
            "items": _EXECUTION_ID,
        },
        "example": [EXECUTION_ID],
    },
    "$filter": {
        "in": "query",
        "description": "`executionId eq '…'` or `executionId in ('…','…')`, instead of "
        f"`executionIds`: `executionId eq '{EXECUTION_ID}'`.",
        # No example, nor has tagFilters one: /docs would send it together with executionIds.
        "schema": {"type": "string", "pattern": FILTER_PATTERN},
    },
    "tagFilters": {
        "in": "query",
        "description": "`name=value`, `name!=value` or `name`, comma-separated, at most "
        f"{MAX_FILTERS}; all must hold. Percent-encode, before the URL's own encoding, what holds "
        "one of `,=!&#%`. `!=` holds for a resource without the tag, too. For example "
        f"`{_TAG['name']}={_TAG['value']}`.",
        "schema": {"type": "string", "pattern": FILTERS_PATTERN, "maxLength": MAX_CHARS},
    },
    "$select": {
        "in": "query",
        "description": "The sections of the answer; absent or `*`: all.",
        **_JOINED,
        "schema": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "enum": [*SECTIONS, "*"]},
        },
    },
    "$top": {
        "in": "query",
        "description": "How many resources are returned at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": DEFAULT_TOP},
    },
    "$skip": {
        "in": "query",
        "description": "How many matches, ordered by execution id, are skipped.",
        "schema": {"type": "integer", "minimum": 0, "maximum": MAX_SKIP, "default": 0},
    },
    "executionId": {
        "in": "query",
        "required": True,
        "description": "The execution whose metrics are deleted.",
        "schema": _EXECUTION_ID,
        "example": EXECUTION_ID,
    },
}
_ALL = _HEADERS | _QUERY
FIND_PARAMETERS = tuple(name for name in _QUERY if name != "executionId")
DELETE_PARAMETERS = ("executionId",)


def component_parameters() -> dict[str, Parameter]:
    """Return all parameters; their names in the document have no dollar."""
    return {_key(name): {"name": name} | rules for name, rules in _ALL.items()}


def references(*names: str) -> list[dict[str, str]]:
    """Refer to the headers that all operations have, and to some parameters of a query."""
    return [{"$ref": f"#/components/parameters/{_key(name)}"} for name in (*_HEADERS, *names)]


def _key(name: str) -> str:
    return name.removeprefix("$")
