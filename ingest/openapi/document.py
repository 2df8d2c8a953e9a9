"""The document: three operations, and what they share."""

from typing import Any

from ingest.body import ENCODINGS
from ingest.contract.resource import MAX_CUSTOM_INFO_BYTES
from ingest.dispatch import METRICS_PATH
from ingest.openapi import answers
from ingest.openapi.answers import error_answers, error_examples, headers, json_answer
from ingest.openapi.example import EXAMPLE, EXECUTION_ID, STORED
from ingest.openapi.parameters import (
    DELETE_PARAMETERS,
    FIND_PARAMETERS,
    component_parameters,
    references,
)
from ingest.openapi.schemas import component_schemas
from ingest.openapi.usual import description_paths, with_usual_methods
from ingest.update import MEDIA_TYPES

Document = dict[str, Any]

_ABOUT = (
    "Takes in the metrics of machine-learning runs. An update that is answered 204 is stored, "
    "exactly once in effect; one that is answered otherwise, or not at all, may be sent again. "
    "All errors, on all paths, have the shape of the schema `Error`; 429 and 503 come with "
    "`Retry-After`, and nothing else invites a retry.\n\n"
    "Do not track sensitive information."
)
_UPDATE = (
    "Metrics are appended: a point is its name, set of labels, step and timestamp; sent again, the "
    "later value stands. Tags and custom info are identified by their names; the later value "
    "stands."
)


def build_document(*, max_custom_info_value_chars: int, authenticated: bool) -> Document:
    """Return the OpenAPI 3.1 document of a gateway with these settings.

    `authenticated` says whether requests need a bearer token.
    """
    shared = [*answers.ANY_ERRORS, *answers.LIMIT_ERRORS]
    if authenticated:
        shared += answers.AUTHENTICATION_ERRORS
    update = error_answers((*answers.UPDATE_ERRORS, *shared))
    read = error_answers((*answers.READ_ERRORS, *shared))
    document: Document = {
        "openapi": "3.1.0",
        "info": {"title": "Metric ingestion", "version": "2", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "Metrics"},
            {"name": "Description"},
            {"name": "Usual", "description": "What HTTP has on every path."},
        ],
        "paths": {
            path: with_usual_methods(operations)
            for path, operations in {
                METRICS_PATH: {
                    "patch": _patch(update),
                    "get": _get(read),
                    "delete": _delete(read),
                },
                **description_paths(),
            }.items()
        },
        "components": {
            "schemas": component_schemas(max_custom_info_value_chars),
            "parameters": component_parameters(),
            "headers": answers.HEADERS,
            "examples": error_examples(),
            # To requests for another path, or with a method that a path does not have.
            "responses": {
                error.name: error_answers([error])[str(error.value.status)]
                for error in answers.ELSEWHERE_ERRORS
            },
        },
    }
    if authenticated:
        document["security"] = [{"bearer": []}]
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        }
    return document


def _patch(errors: answers.Responses) -> Document:
    encodings = ", ".join(one for one in ENCODINGS if one != "identity")
    schema = {"$ref": "#/components/schemas/MetricResource"}
    return {
        "operationId": "metricsPatch",
        "tags": ["Metrics"],
        "summary": "Create or update metrics, tags and custom info of an execution",
        "description": _UPDATE,
        "parameters": references(),
        "requestBody": {
            "required": True,
            "description": f"JSON in UTF-8; Content-Encoding may be {encodings}. customInfo as a "
            f"whole is limited to {MAX_CUSTOM_INFO_BYTES} bytes.",
            "content": {
                media_type: {"schema": schema, "examples": {"document": {"value": EXAMPLE}}}
                for media_type in MEDIA_TYPES
            },
        },
        "responses": {
            "204": {
                "description": "The update is durable.",
                "headers": headers(),
                "links": _links(),
            },
            **errors,
        },
    }


def _links() -> Document:
    """Say how what an update wrote is found, and how it is deleted."""
    execution_id = "$request.body#/executionId"
    group = {"header.AI-Resource-Group": "$request.header.AI-Resource-Group"}
    find = {"query.$filter": f"executionId eq '{{{execution_id}}}'"}
    return {
        "find": {"operationId": "metricsFind", "parameters": group | find},
        "delete": {
            "operationId": "metricsDelete",
            "parameters": group | {"query.executionId": execution_id},
        },
    }


def _get(errors: answers.Responses) -> Document:
    return {
        "operationId": "metricsFind",
        "tags": ["Metrics"],
        "summary": "Find the metrics, tags and custom info of executions",
        "description": "By execution ids, or by tags through a whole resource group. Metrics are "
        "ordered by step, timestamp and name.",
        "parameters": references(*FIND_PARAMETERS),
        "responses": {
            "200": json_answer("What was found.", "QueryResult", STORED),
            **errors,
        },
    }


def _delete(errors: answers.Responses) -> Document:
    example = {"id": EXECUTION_ID, "message": "Metrics were deleted."}
    return {
        "operationId": "metricsDelete",
        "tags": ["Metrics"],
        "summary": "Delete everything that an execution got before this request",
        "parameters": references(*DELETE_PARAMETERS),
        "responses": {
            "200": json_answer("It is no longer found.", "DeletionResult", example),
            **errors,
        },
    }
