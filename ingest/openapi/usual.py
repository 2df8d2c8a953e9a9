"""What the document says of paths that are not about metrics, and of HEAD and OPTIONS on all."""

from typing import Any

from ingest.dispatch import DOCS_PATH, OPENAPI_PATH
from ingest.errors import Error
from ingest.openapi import answers
from ingest.openapi.answers import answer, error_answers, headers, without_body
from ingest.openapi.page import ASSETS, HTML

Operations = dict[str, dict[str, Any]]

_TEXT = {"schema": {"type": "string"}}
_BYTES: dict[str, Any] = {}


def description_paths() -> dict[str, Operations]:
    """Return the paths that describe the API: for machines and for people."""
    asset = {
        "name": "asset",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": list(ASSETS)},
    }
    of_assets = {
        content_type: _BYTES if content_type.startswith("image/") else _TEXT
        for content_type in dict.fromkeys(ASSETS.values())
    }
    document = answer("OpenAPI 3.1.", {"application/json": {"schema": {"type": "object"}}})
    page = answer("Swagger UI.", {HTML: _TEXT})
    of_page = answer("A file of the page.", of_assets)
    return {
        OPENAPI_PATH: {"get": _get("openApi", "This document", document)},
        DOCS_PATH: {"get": _get("docs", "This document in a browser", page)},
        f"{DOCS_PATH}/{{asset}}": {
            "get": _get("docsAsset", "What that page loads", of_page, Error.PATH_UNKNOWN)
            | {"parameters": [asset]}
        },
    }


def with_usual_methods(operations: Operations) -> Operations:
    """Return the operations of a path with HEAD and OPTIONS."""
    get = operations["get"]
    in_path = [one for one in get.get("parameters", []) if one.get("in") == "path"]
    head = get | {
        "operationId": f"{get['operationId']}Head",
        "tags": ["Usual"],
        "summary": "Answer like GET, without the body",
        "responses": without_body(get["responses"]),
    }
    head.pop("description", None)
    options = {
        "operationId": f"{get['operationId']}Options",
        "tags": ["Usual"],
        "summary": "Say which methods there are",
        "security": [],
        "parameters": in_path,
        "responses": {
            "204": {"description": "See `Allow`.", "headers": headers("Allow")},
            # A file that is not there has no methods either.
            **error_answers((*answers.ANY_ERRORS, *([Error.PATH_UNKNOWN] if in_path else []))),
        },
    }
    return operations | {"head": head, "options": options}


def _get(name: str, summary: str, success: dict[str, Any], *errors: Error) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": ["Description"],
        "summary": summary,
        "security": [],
        "responses": {"200": success, **error_answers((*answers.ANY_ERRORS, *errors))},
    }
