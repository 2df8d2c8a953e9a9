"""tagFilters: `name=value`, `name!=value` and `name`, comma-separated; all must hold.

Each is split at its first `=` or `!=`, and name and value are percent-decoded after that, so
that they can hold any character. `!=` also holds for a resource without the tag, as in the
label selectors that this syntax comes from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

MAX_FILTERS = 100
MAX_CHARS = 5000

_ONE = "(?:[^,=]+|(?:[^,=]{2,}|[^,=!])=[^,]+)"
# What is accepted, but for what is percent-encoded and no UTF-8; for readers of /openapi.json.
FILTERS_PATTERN = f"^{_ONE}(?:,{_ONE}){{0,{MAX_FILTERS - 1}}}$"


@dataclass(frozen=True, slots=True)
class TagFilter:
    """One condition on the tag `name`. `value` None asks only that there is one."""

    name: str
    value: str | None
    negated: bool = False

    def holds(self, tags: Mapping[str, str]) -> bool:
        """Tell whether a resource with these tags (name to value) fulfils the condition."""
        if self.value is None:
            return self.name in tags
        return (tags.get(self.name) == self.value) is not self.negated


def parse_tag_filters(text: str) -> list[TagFilter]:
    """Parse the parameter's text, which the URL's own encoding was already taken from.

    Raises:
        ValueError: says what is wrong.
    """
    if len(text) > MAX_CHARS:
        raise ValueError(f"is {len(text)} characters long, at most {MAX_CHARS} are allowed")
    parts = text.split(",")
    if len(parts) > MAX_FILTERS:
        raise ValueError(f"has {len(parts)} filters, at most {MAX_FILTERS} are allowed")
    return [_parse_one(part) for part in parts]


def _parse_one(part: str) -> TagFilter:
    name, equals, value = part.partition("=")
    negated = bool(equals) and name.endswith("!")
    if negated:
        name = name[:-1]
    if not name or (equals and not value):
        raise ValueError(f"{part[:60]!r} is none of name=value, name!=value and name")
    try:
        return TagFilter(
            unquote(name, errors="strict"),
            unquote(value, errors="strict") if equals else None,
            negated,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"{part[:60]!r} is not percent-encoded UTF-8") from error
