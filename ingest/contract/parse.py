"""Parse what a client sent: bytes in, a checked update or every violation out.

Validation is the JSON Schema of resource.py and nothing else, by jsonschema-rs: as fast as the
JSON parser itself. What is wrong with a body is worked out by violations.py, and only then.
"""

import re
from typing import Any

import jsonschema_rs
import orjson

from ingest.contract.complexity import MAX_VALUES, has_too_many_values
from ingest.contract.message import ENVELOPE_LEVELS
from ingest.contract.resource import (
    MAX_CUSTOM_INFO_BYTES,
    MAX_NAME_CHARS,
    RESOURCE_GROUP_PATTERN,
    metric_resource_schema,
)
from ingest.contract.violations import Layer, Violation, shown

# Should what breaks the schema satisfy its layers (never seen yet), it is refused all the same.
_SOMETHING = [Violation("", "does not satisfy the schema in /openapi.json")]
_RESOURCE_GROUP = re.compile(RESOURCE_GROUP_PATTERN)
# Of what is not JSON, as much is shown.
_SHOWN_CHARS = 20
# What some JSON libraries write for a number that is none, Python's among them.
_NO_NUMBER = re.compile(rb"[\[:,]\s*-?(?:NaN|Infinity)\b")


class InvalidUpdateError(ValueError):
    """The body is JSON but breaks the schema."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(str(violation) for violation in violations[:3]))
        self.violations = violations


class MalformedBodyError(ValueError):
    """The body is not JSON."""


class PayloadTooLargeError(ValueError):
    """customInfo is larger than 5 MiB."""


class UpdateParser:
    """Parse bodies into MetricResources."""

    def __init__(self, max_custom_info_value_chars: int = MAX_NAME_CHARS) -> None:
        schema = metric_resource_schema(max_custom_info_value_chars)
        self._layer = Layer(schema)
        self._validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)

    def parse(self, body: bytes) -> dict[str, Any]:
        """Return the MetricResource in `body`; it satisfies the schema.

        Raises:
            MalformedBodyError: not JSON. NaN, infinities, 1e400, lone surrogates, invalid
                UTF-8 and nesting deeper than some 250 levels are not JSON here.
            PayloadTooLargeError: customInfo over 5 MiB, whatever else is wrong.
            InvalidUpdateError: every violation of the schema, up to MAX_VIOLATIONS; or more
                values than any MetricResource has, before it is known whether it is JSON.
        """
        if has_too_many_values(body):
            reason = f"has more than {MAX_VALUES} values, no MetricResource has as many"
            raise InvalidUpdateError([Violation("", reason)])
        resource = _loads(body)
        try:
            custom_info_bytes = _custom_info_bytes(resource, len(body))
            valid = self._validator.is_valid(resource)
            violations = [] if valid else self._layer.violations(resource) or _SOMETHING
        except (RecursionError, ValueError, orjson.JSONEncodeError) as error:
            # So orjson and jsonschema-rs refuse what is nested more than some 250 levels deep.
            raise MalformedBodyError(
                "the body is nested more deeply than any MetricResource"
            ) from error
        if custom_info_bytes > MAX_CUSTOM_INFO_BYTES:
            raise PayloadTooLargeError(
                f"/customInfo: is {custom_info_bytes} bytes long as JSON, at most "
                f"{MAX_CUSTOM_INFO_BYTES} are allowed; send it in parts"
            )
        if violations:
            raise InvalidUpdateError(violations)
        return resource  # type: ignore[no-any-return]  # the schema says it is an object


def _loads(body: bytes) -> Any:
    """Parse JSON that can be spliced into a message, which nests it ENVELOPE_LEVELS deeper.

    Else a body at the very limit of nesting, perhaps hidden under a duplicate key, would make its
    whole message undecodable, with everyone else's updates in it.
    """
    try:
        value = orjson.loads(b"[" * ENVELOPE_LEVELS + body + b"]" * ENVELOPE_LEVELS)
        for _ in range(ENVELOPE_LEVELS):
            (value,) = value  # more than one: the body was not one value, but `1],[2`
    except ValueError as error:
        raise MalformedBodyError(why_not_json(body, error)) from error
    return value


def _custom_info_bytes(resource: Any, body_bytes: int) -> int:
    """Return the size of customInfo as compact JSON; 0 if it cannot be too large."""
    # What is compact is never longer than what was sent: most bodies need no second look.
    if body_bytes <= MAX_CUSTOM_INFO_BYTES or not isinstance(resource, dict):
        return 0
    return len(orjson.dumps(resource.get("customInfo")))


def check_resource_group(value: str | None) -> Violation | None:
    """Check the header AI-Resource-Group; None means that it is right."""
    where = "(header AI-Resource-Group)"
    if value is None:
        return Violation(where, "is missing; send the resource group the execution belongs to")
    if _RESOURCE_GROUP.fullmatch(value) is None:
        return Violation(
            where,
            f"{shown(value)} is not a resource group: 3 to 253 letters, digits, dots and "
            "hyphens, beginning and ending with a letter or digit",
        )
    return None


def why_not_json(body: bytes, error: ValueError) -> str:
    """Say why bytes are not JSON, and what to change if that can be guessed."""
    if not body.strip():
        return "the body is empty; send a MetricResource as JSON"
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as plain:  # with the right position
        error = plain
    reason = f"the body is not JSON: {error}"
    if isinstance(error, orjson.JSONDecodeError):
        there = error.doc[error.pos : error.pos + _SHOWN_CHARS]
        reason += f", at {shown(there)}" if there else ""
    if "\u201c".encode() in body or "\u201d".encode() in body:
        reason += "; it holds typographic quotes (\u201c \u201d) where JSON wants straight ones"
    if _NO_NUMBER.search(body):
        reason += "; JSON has no NaN and no Infinity: leave such a metric out"
    return reason
