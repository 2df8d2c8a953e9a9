"""The schemas of the document: the body's is what validates, the answers' are made from it."""

from typing import Any

from ingest.contract.resource import EXECUTION_ID_PATTERN, metric_resource_schema
from ingest.errors import TARGET

Schema = dict[str, Any]

# What may be sent now need not have been the limit when something was sent.
_LIMITS = frozenset(
    {"maximum", "maxItems", "maxLength", "minimum", "minLength", "not", "pattern", "format"}
)
_TIMESTAMP: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.]([0-9]{3}){1,3}Z$",
    "description": "In UTC, with 3, 6 or 9 fractional digits.",
}


def component_schemas(max_custom_info_value_chars: int) -> dict[str, Schema]:
    """Return the named schemas."""
    resource = metric_resource_schema(max_custom_info_value_chars)
    # The document says itself which dialect its schemas are in.
    sent = {name: rule for name, rule in resource.items() if name != "$schema"}
    return {
        "MetricResource": sent,
        "StoredMetricResource": _stored_resource(sent),
        "QueryResult": {
            "type": "object",
            "properties": {
                "count": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "The number of resources in this answer.",
                },
                "resources": {
                    "type": "array",
                    "items": {"$ref": "#/components/schemas/StoredMetricResource"},
                },
            },
            "required": ["count", "resources"],
            "additionalProperties": False,
        },
        "DeletionResult": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "pattern": EXECUTION_ID_PATTERN},
                "message": {"type": "string"},
            },
            "required": ["id", "message"],
            "additionalProperties": False,
        },
        "Error": _error(),
    }


def error_schema(codes: list[str]) -> Schema:
    """Return the schema of an error with one of some codes."""
    code = {"properties": {"error": {"properties": {"code": {"enum": codes}}}}}
    return {"allOf": [{"$ref": "#/components/schemas/Error"}, code]}


def _stored_resource(sent: Schema) -> Schema:
    stored = _without_limits(sent)
    properties = stored["properties"]
    properties |= {"createdAt": _TIMESTAMP, "modifiedAt": _TIMESTAMP}
    metric = properties["metrics"]["items"]
    metric["properties"]["timestamp"] = _TIMESTAMP
    metric["required"] = [*metric["required"], "timestamp"]
    return stored | {
        "title": "StoredMetricResource",
        "description": "The sections that $select names; those are always there, if need be empty.",
        "required": ["executionId", "createdAt", "modifiedAt"],
    }


def _without_limits(schema: Schema) -> Schema:
    """Return a schema's shape: its names and types. Null is never stored."""
    shape = {name: rule for name, rule in schema.items() if name not in _LIMITS}
    if isinstance(shape.get("type"), list):
        shape["type"] = next(name for name in shape["type"] if name != "null")
    if "properties" in shape:
        shape["properties"] = {
            name: _without_limits(rules) for name, rules in shape["properties"].items()
        }
    if "items" in shape:
        shape["items"] = _without_limits(shape["items"])
    shape.pop("description", None)
    return shape


def _error() -> Schema:
    code = {"type": "string", "pattern": "^[0-9]{8}$"}
    message = {"type": "string", "minLength": 1}
    detail = {
        "type": "object",
        "properties": {"code": code, "message": message},
        "required": ["code", "message"],
        "additionalProperties": False,
    }
    fields = {
        "code": code | {"description": "One per cause."},
        "message": message,
        "requestId": {"type": "string", "description": "As in the header X-Request-ID."},
        "target": {"const": TARGET},
        "details": {
            "type": "array",
            "minItems": 1,
            "items": detail,
            "description": "One for every violation; for a body, with a JSON pointer to the place.",
        },
    }
    return {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": fields,
                "required": list(fields),
                "additionalProperties": False,
            }
        },
        "required": ["error"],
        "additionalProperties": False,
    }
