"""Parse what a client sent: bytes in, a checked update or every violation out.

Validation is the JSON Schema of resource.py and nothing else, by jsonschema-rs: as fast as the
JSON parser itself, and it reports every error with its place. This file turns those errors into
sentences that say what to change.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import orjson

from ingest.contract.resource import (
    MAX_CUSTOM_INFO_BYTES,
    MAX_NAME_CHARS,
    RESOURCE_GROUP_PATTERN,
    metric_resource_schema,
)

# A 20 MiB body can break the rules millions of times. Nobody reads more than this, and the
# answer must not grow beyond what a client can take.
MAX_VIOLATIONS = 1000
_SHOWN_CHARS = 60
_RESOURCE_GROUP = re.compile(RESOURCE_GROUP_PATTERN)


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: a JSON pointer to the place, and what to change there."""

    pointer: str
    reason: str

    def __str__(self) -> str:
        return f"{self.pointer or '(body)'}: {self.reason}"


class InvalidUpdateError(ValueError):
    """The body is JSON but breaks the schema."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(str(violation) for violation in violations[:3]))
        self.violations = violations


class MalformedBodyError(ValueError):
    """The body is not JSON."""


class PayloadTooLargeError(ValueError):
    """customInfo is larger than 5 MB."""


class UpdateParser:
    """Parse bodies into MetricResources."""

    def __init__(self, max_custom_info_value_chars: int = MAX_NAME_CHARS) -> None:
        schema = metric_resource_schema(max_custom_info_value_chars)
        self._validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)

    def parse(self, body: bytes) -> dict[str, Any]:
        """Return the MetricResource in `body`; it satisfies the schema.

        Raises:
            MalformedBodyError: not JSON. NaN, infinities, 1e400, lone surrogates, invalid
                UTF-8 and nesting deeper than 1024 are not JSON here.
            PayloadTooLargeError: customInfo over 5 MB, whatever else is wrong.
            InvalidUpdateError: every violation of the schema, up to MAX_VIOLATIONS.
        """
        try:
            resource = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise MalformedBodyError(_why_not_json(body, error)) from error
        # What is compact is never longer than what was sent: most bodies need no second look.
        if len(body) > MAX_CUSTOM_INFO_BYTES and isinstance(resource, dict):
            size = len(orjson.dumps(resource.get("customInfo")))
            if size > MAX_CUSTOM_INFO_BYTES:
                raise PayloadTooLargeError(
                    f"customInfo is {size} bytes, at most {MAX_CUSTOM_INFO_BYTES} are allowed"
                )
        if not self._validator.is_valid(resource):
            raise InvalidUpdateError(list(self._violations(resource)))
        return resource  # type: ignore[no-any-return]  # the schema says it is an object

    def _violations(self, resource: Any) -> Iterator[Violation]:
        for number, error in enumerate(self._validator.iter_errors(resource)):
            if number == MAX_VIOLATIONS:
                yield Violation("", f"and more: only the first {MAX_VIOLATIONS} are listed")
                return
            path = error.instance_path
            yield Violation(_pointer(path), _reason(error, _at(resource, path)))


def check_resource_group(value: str | None) -> Violation | None:
    """Check the header AI-Resource-Group; None means that it is right."""
    where = "(header AI-Resource-Group)"
    if value is None:
        return Violation(where, "is missing; send the resource group the execution belongs to")
    if _RESOURCE_GROUP.fullmatch(value) is None:
        return Violation(
            where,
            f"{_shown(value)} is not a resource group: 3 to 253 letters, digits, dots and "
            "hyphens, beginning and ending with a letter or digit",
        )
    return None


def _why_not_json(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "the body is empty; send a MetricResource as JSON"
    reason = f"the body is not JSON: {error}"
    if "\u201c".encode() in body or "\u201d".encode() in body:
        reason += "; it holds typographic quotes (\u201c \u201d) where JSON wants straight ones"
    return reason


def _pointer(path: list[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _at(resource: Any, path: list[str | int]) -> Any:
    for part in path:
        resource = resource[part]
    return resource


def _shown(value: Any) -> str:
    """Show an offending value, shortened."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


_TYPE_NAMES = {
    "array": "a list",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def _reason(error: Any, value: Any) -> str:
    """Say in one sentence what is wrong with `value`."""
    kind = type(error.kind).__name__
    say = _REASONS.get(kind)
    if say is None:
        return str(error.message)[: 4 * _SHOWN_CHARS]
    return say(error.kind.as_dict(), value)


_REASONS: dict[str, Callable[[dict[str, Any], Any], str]] = {
    "AdditionalProperties": lambda rule, _: (
        "unknown field " + ", ".join(_shown(name) for name in rule["unexpected"][:5])
    ),
    "Format": lambda _, value: (
        f"{_shown(value)} is not an RFC 3339 date-time such as 2020-11-12T12:18:01.539Z"
    ),
    "MaxItems": lambda rule, value: f"has {len(value)} items, at most {rule['limit']} are allowed",
    "Maximum": lambda rule, value: f"{_shown(value)} is greater than {rule['limit']}",
    "MaxLength": lambda rule, value: (
        f"is {len(value)} characters long, at most {rule['limit']} are allowed: {_shown(value)}"
    ),
    "Minimum": lambda rule, value: f"{_shown(value)} is less than {rule['limit']}",
    "MinLength": lambda *_: "is empty",
    "Not": lambda _, value: f"{_shown(value)} is outside the years 0000 to 9999 in UTC",
    "Pattern": lambda rule, value: f"{_shown(value)} does not match the pattern {rule['pattern']}",
    "Required": lambda rule, _: f"{_shown(rule['property'])} is missing",
    "Type": lambda rule, value: (
        f"must be {' or '.join(_TYPE_NAMES[name] for name in rule['types'])}, "
        f"but is {_shown(value)}"
    ),
}
