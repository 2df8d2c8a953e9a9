"""What schemathesis must know about the API that OpenAPI cannot say."""

from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import schemathesis
from schemathesis import GenerationMode

from ingest.query_parameters import FILTER_PATTERN
from tests.input import oracle

_FILTER = jsonschema_rs.Draft202012Validator({"type": "string", "pattern": FILTER_PATTERN})


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Make a query satisfy the rules between its parameters.

    A GET takes executionIds or $filter, not both, and neither only with tagFilters; no parameter's
    schema can say that. So of two the one that is right is left out: else whatever is wrong with
    a request would be refused for having both, and no test would be left of what it tests.
    """
    finds = ("GET /v2/lm/metrics", "HEAD /v2/lm/metrics")
    if case.operation.label not in finds or not isinstance(case.query or {}, dict):
        return
    query = dict(case.query or {})
    if "executionIds" in query and "$filter" in query:
        if _FILTER.is_valid(query["$filter"]):
            del query["$filter"]
        elif _are_ids(query["executionIds"]):
            del query["executionIds"]
    if not query.keys() & {"executionIds", "$filter", "tagFilters"}:
        query["executionIds"] = ["run-1"]
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        try:
            unquote(str(query.get("tagFilters", "")), errors="strict")
        except UnicodeDecodeError:  # what is percent-encoded must be UTF-8: no pattern says that
            query["tagFilters"] = "a"
    case.query = query


def _are_ids(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= 10
        and all(oracle.is_execution_id(one) for one in value)
    )
