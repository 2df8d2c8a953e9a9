"""What schemathesis must know about the API that OpenAPI cannot say."""

from typing import Any
from urllib.parse import unquote

import schemathesis
from schemathesis import GenerationMode


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Make what is meant to be accepted satisfy the rules between a query's parameters.

    A GET takes executionIds or $filter, not both, and neither only with tagFilters; and what is
    percent-encoded in tagFilters must be UTF-8. No parameter's schema can say that.
    """
    if case.operation.label != "GET /v2/lm/metrics" or case.meta is None:
        return
    if case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    query = case.query or {}
    try:
        unquote(str(query.get("tagFilters", "")), errors="strict")
    except UnicodeDecodeError:
        del query["tagFilters"]
    if "$filter" in query:
        query.pop("executionIds", None)
    elif not query.keys() & {"executionIds", "tagFilters"}:
        query["executionIds"] = ["run-1"]
    case.query = query
