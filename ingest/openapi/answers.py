"""The answers of the document: by status, with every code that is possible there."""

from collections.abc import Iterable
from typing import Any

import orjson

from ingest.errors import Error, RequestError
from ingest.openapi.schemas import error_schema

Responses = dict[str, dict[str, Any]]

# What can go wrong, by operation; the rest of the table has no operation to belong to.
UPDATE_ERRORS = (
    Error.BODY_MALFORMED,
    Error.BODY_INVALID,
    Error.HEADER_INVALID,
    Error.ENCODING_INVALID,
    Error.BODY_TIMEOUT,
    Error.PAYLOAD_LIMIT,
    Error.MEDIA_TYPE,
    Error.EXPECTATION,
    Error.BROKER_AWAY,
)
READ_ERRORS = (Error.QUERY_INVALID, Error.HEADER_INVALID, Error.NOT_FOUND, Error.DATABASE_AWAY)
LIMIT_ERRORS = (Error.GROUP_LIMITED,)
AUTHENTICATION_ERRORS = (Error.UNAUTHENTICATED, Error.FORBIDDEN, Error.KEYS_AWAY)
# To any request at all, even one for this document.
ANY_ERRORS = (Error.HTTP_INVALID, Error.INTERNAL, Error.OVERLOADED)
# Answers to requests that are for none of the operations.
ELSEWHERE_ERRORS = (Error.PATH_UNKNOWN, Error.METHOD_NOT_ALLOWED)

_REQUEST_ID = "4ce96f300e1b-8"
_DETAILS = {
    Error.BODY_INVALID: ['/metrics/0: "value" is missing'],
    Error.QUERY_INVALID: ["executionIds: is missing; give executionIds, $filter or tagFilters"],
    Error.HEADER_INVALID: [
        "(header AI-Resource-Group): is missing; send the resource group the execution belongs to"
    ],
}
# Headers that an error's answer has, besides those that all answers with a body have.
_HEADERS = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The request's own id if it is sane, else a new one; it is in the logs.",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    "Retry-After": {
        "description": "Seconds. Nothing was promised: send the request again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "Says that a bearer token is wanted (RFC 6750).",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer"},
    },
    "Allow": {
        "description": "The methods that the path has.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "Vary": {
        "description": "`Accept-Encoding`, if that makes a difference.",
        "schema": {"type": "string", "minLength": 1},
    },
    "Content-Encoding": {
        "description": "`gzip`, if the client accepts it and the answer is not small.",
        "schema": {"const": "gzip"},
    },
}
_OF_BODIES = ("Vary", "Content-Encoding")


def headers(*more: str) -> dict[str, Any]:
    """Return the headers of an answer without a body: the one that all have, and others."""
    names = ("X-Request-ID", *more)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def json_answer(description: str, schema: str, example: Any) -> dict[str, Any]:
    """Return a success with a body of a named schema."""
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return answer(description, {"application/json": content})


def answer(description: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return a success with a body, by media type."""
    return {"description": description, "headers": headers(*_OF_BODIES), "content": content}


def without_body(answers: Responses) -> Responses:
    """Return the answers to a HEAD: those to a GET, but for the bodies."""
    return {
        status: {name: part for name, part in one.items() if name != "content"}
        for status, one in answers.items()
    }


def error_answers(errors: Iterable[Error]) -> Responses:
    """Return the answers for some errors: one a status, with its codes and an example of each."""
    by_status: dict[int, list[Error]] = {}
    for error in errors:
        by_status.setdefault(error.value.status, []).append(error)
    answers = {str(status): _answer(status, by_status[status]) for status in sorted(by_status)}
    if Error.UNAUTHENTICATED.value.status in by_status:
        # Of a request that is wrong for its Authorization (RFC 6750, section 3.1).
        challenge = {"description": "If the header Authorization is wrong."}
        answers["400"]["headers"]["WWW-Authenticate"] = challenge | {"schema": {"type": "string"}}
    return answers


def _answer(status: int, errors: list[Error]) -> dict[str, Any]:
    lines = [f"`{error.value.code}` {error.value.message}" for error in errors]
    return {
        "description": "\n".join(lines if len(lines) == 1 else (f"- {line}" for line in lines)),
        "headers": headers(*_HEADERS.get(status, ()), *_OF_BODIES),
        "content": {
            "application/json": {
                "schema": error_schema([error.value.code for error in errors]),
                "examples": {
                    error.name: {"$ref": f"#/components/examples/{error.name}"} for error in errors
                },
            }
        },
    }


def error_examples() -> dict[str, Any]:
    """Return an example of every error in the table, made as the answer itself is."""
    return {
        error.name: {
            "summary": f"{error.value.status} {error.value.code}: {error.value.message}",
            "value": orjson.loads(RequestError(error, _DETAILS.get(error, ())).body(_REQUEST_ID)),
        }
        for error in Error
    }
