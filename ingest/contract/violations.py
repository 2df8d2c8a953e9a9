"""Say what is wrong with a body that breaks the schema: where, and what to change there.

jsonschema-rs finds every error before it hands out the first, each with a copy of what it is
about: a small hostile body could cost seconds and gigabytes. So the schema is applied in layers,
an object at a time without the items of its lists, and no further than MAX_VIOLATIONS.
"""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from ingest.contract.resource import MAX_CUSTOM_INFO_BYTES, TIMESTAMP_PATTERN

# Nobody reads more than this, and the answer must not grow beyond what a client can take.
MAX_VIOLATIONS = 1000
_SHOWN_CHARS = 60
# No text of a MetricResource is as long. The validator copies what is wrong several times over.
_MAX_TEXT_CHARS = MAX_CUSTOM_INFO_BYTES

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: a JSON pointer to the place, and what to change there.

    The reason may show what was sent; `rule`, a word of JSON Schema, and the pointer never do.
    """

    pointer: str
    reason: str
    rule: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.pointer or '(body)'}: {self.reason}"


class Layer:
    """The rules of one object, and of the objects in its lists a layer below."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Take a JSON Schema that is nested only by the `items` of an object's properties."""
        properties = schema.get("properties", {})
        flat = {
            name: {key: rule for key, rule in rules.items() if key != "items"}
            for name, rules in properties.items()
        }
        self._validator = jsonschema_rs.Draft202012Validator(
            schema | {"properties": flat}, validate_formats=True
        )
        self._known = properties.keys()
        self._lists = {
            name: (Layer(rules["items"]), rules["maxItems"])
            for name, rules in properties.items()
            if "items" in rules
        }

    def violations(self, value: Any) -> list[Violation]:
        """Return the violations in `value`; if there are too many, the last item says so."""
        found = list(islice(self._find(value, ()), MAX_VIOLATIONS + 1))
        if len(found) > MAX_VIOLATIONS:
            found[-1] = Violation("", f"and more: only the first {MAX_VIOLATIONS} are listed")
        return found

    def _find(self, value: Any, path: Path) -> Iterator[Violation]:
        if isinstance(value, dict) and (unknown := value.keys() - self._known):
            # Not left to the validator: there may be a million of them.
            names = ", ".join(shown(name) for name in sorted(unknown)[:5])
            yield Violation(pointer(path), f"unknown field {names}", "unknown field")
            value = {name: value[name] for name in value.keys() & self._known}
        value, long = _without_long_texts(value)
        for name, text in long.items():
            reason = f"is {len(text)} characters long, no text of a MetricResource may be"
            yield Violation(pointer((*path, name)), reason, "MaxLength")
        yield from self._own(value, path, long)
        if not isinstance(value, dict):
            return
        for name, (layer, max_items) in self._lists.items():
            items = value.get(name)
            if isinstance(items, list):
                # What is beyond the limit is reported as a whole, by the length of the list.
                for number, item in enumerate(items[:max_items]):
                    yield from layer._find(item, (*path, name, number))  # noqa: SLF001 - the same

    def _own(self, value: Any, path: Path, known: Container[str]) -> Iterator[Violation]:
        """Yield what the validator finds, but nothing about the properties that are known."""
        last = None
        for error in self._validator.iter_errors(value):
            if error.instance_path and error.instance_path[0] in known:
                continue
            place = value
            for part in error.instance_path:
                place = place[part]
            violation = Violation(
                pointer((*path, *error.instance_path)),
                _reason(error, place),
                type(error.kind).__name__,
            )
            if violation != last:  # a timestamp can break its pattern and its format
                yield violation
            last = violation


def _without_long_texts(value: Any) -> tuple[Any, dict[str, str]]:
    """Cut off what is too long to be checked; return the texts that were cut, by their names."""
    if isinstance(value, str):
        return value[: 2 * _SHOWN_CHARS], {}
    if not isinstance(value, dict):
        return value, {}
    long = {
        name: text
        for name, text in value.items()
        if isinstance(text, str) and len(text) > _MAX_TEXT_CHARS
    }
    return value | dict.fromkeys(long, ""), long


def pointer(path: Path) -> str:
    """Return the JSON pointer (RFC 6901) of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def shown(value: Any) -> str:
    """Show an offending value, shortened."""
    if isinstance(value, str):
        value = value[: 2 * _SHOWN_CHARS]
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # a header's bytes that are no UTF-8
        if not isinstance(value, str):
            raise
        text = ascii(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


_TYPE_NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


def _kind(value: Any) -> str:
    """Show a value of the wrong type, but nothing of what is inside of it."""
    if value and isinstance(value, list | dict):
        return _TYPE_NAMES["array" if isinstance(value, list) else "object"]
    return shown(value)


def _reason(error: Any, value: Any) -> str:
    """Say in one sentence what is wrong with `value`."""
    say = _REASONS.get(type(error.kind).__name__)
    if say is None:
        return str(error.message)[: 4 * _SHOWN_CHARS]
    return say(error.kind.as_dict(), value)


_NO_TIMESTAMP = " is not an RFC 3339 date-time such as 2020-11-12T12:18:01.539Z"

_REASONS: dict[str, Callable[[dict[str, Any], Any], str]] = {
    "Format": lambda _, value: shown(value) + _NO_TIMESTAMP,
    "MaxItems": lambda rule, value: f"has {len(value)} items, at most {rule['limit']} are allowed",
    "Maximum": lambda rule, value: f"{shown(value)} is greater than {rule['limit']}",
    # Without the value, which may be a key or a token: its length is what is wrong.
    "MaxLength": lambda rule, value: (
        f"is {len(value)} characters long, at most {rule['limit']} are allowed"
    ),
    "Minimum": lambda rule, value: f"{shown(value)} is less than {rule['limit']}",
    "MinLength": lambda *_: "is empty",
    "Not": lambda _, value: f"{shown(value)} is outside the years 0000 to 9999 in UTC",
    "Pattern": lambda rule, value: (
        shown(value) + _NO_TIMESTAMP
        if rule["pattern"] == TIMESTAMP_PATTERN
        else f"{shown(value)} does not match the pattern {rule['pattern']}"
    ),
    "Required": lambda rule, _: f"{shown(rule['property'])} is missing",
    "Type": lambda rule, value: (
        f"must be {' or '.join(_TYPE_NAMES[name] for name in rule['types'])}, but is {_kind(value)}"
    ),
}
