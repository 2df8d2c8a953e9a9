"""The MetricResource that a client sends: its JSON Schema and its limits.

Source of every limit: SAP AI Core, "Store Metric Data". Where that page is silent a
comment says what was chosen.
"""

from typing import Any

MAX_METRICS = 1000
MAX_LABELS = 20
MAX_TAGS = 100
MAX_CUSTOM_INFO = 100
MAX_NAME_CHARS = 256
MAX_CUSTOM_INFO_BYTES = 5 * 1024 * 1024
MAX_STEP = 2**63 - 1

# Ids of the AI API: 4 to 64 word characters, dots and hyphens. JSON Schema's \w is
# ASCII, which not every regular expression engine honours: so the class is written out.
EXECUTION_ID_PATTERN = "^[A-Za-z0-9_.-]{4,64}$"
RESOURCE_GROUP_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9.-]{1,251}[a-zA-Z0-9]$"

# Unanchored on purpose: the document's own example, "Error Rate", has a space.
METRIC_NAME_PATTERN = "[A-Za-z0-9_-]{1,64}"

# What jsonschema-rs's date-time check lets through where a digit belongs would not be a timestamp
# to anyone else: the digits are asked for here, the calendar by the format.
TIMESTAMP_PATTERN = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?"
    "([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)

# The instants that leave the years 0000 to 9999 when they are expressed in UTC: nothing that
# reads RFC 3339 could read them back.
UNREPRESENTABLE_IN_UTC = "^(0000-01-01.*[+]|9999-12-31.*(:60|-[0-9]{2}:[0-9]{2}$))"


def _name_value(max_value_chars: int) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS}
    return {
        "type": "object",
        "properties": {"name": text, "value": {**text, "maxLength": max_value_chars}},
        "required": ["name", "value"],
        "additionalProperties": False,
    }


_METRIC: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {
            "type": "string",
            "pattern": METRIC_NAME_PATTERN,
            "maxLength": MAX_NAME_CHARS,
        },
        "value": {"type": "number"},
        "timestamp": {
            "type": ["string", "null"],
            "format": "date-time",
            "pattern": TIMESTAMP_PATTERN,
            "not": {"type": "string", "pattern": UNREPRESENTABLE_IN_UTC},
        },
        "step": {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_STEP},
        "labels": {
            "type": ["array", "null"],
            "maxItems": MAX_LABELS,
            "items": _name_value(MAX_NAME_CHARS),
        },
    },
    "required": ["name", "value"],
    "additionalProperties": False,
}


# No lists or objects: what is valid must not be nested more deeply than a message may be.
_IGNORED = {"type": ["string", "number", "boolean", "null"]}


def metric_resource_schema(max_custom_info_value_chars: int = MAX_NAME_CHARS) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a MetricResource.

    `createdAt` and `modifiedAt` are accepted and ignored, so that what a query returned can be
    sent back. Any other unknown field is refused: a misspelt one must not lose data silently.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "MetricResource",
        "type": "object",
        "properties": {
            "executionId": {"type": "string", "pattern": EXECUTION_ID_PATTERN},
            "metrics": {"type": "array", "maxItems": MAX_METRICS, "items": _METRIC},
            "tags": {
                "type": "array",
                "maxItems": MAX_TAGS,
                "items": _name_value(MAX_NAME_CHARS),
            },
            "customInfo": {
                "type": "array",
                "maxItems": MAX_CUSTOM_INFO,
                "items": _name_value(max_custom_info_value_chars),
            },
            "createdAt": _IGNORED,
            "modifiedAt": _IGNORED,
        },
        "required": ["executionId"],
        "additionalProperties": False,
    }
