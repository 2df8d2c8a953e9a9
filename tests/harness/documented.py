"""Answers held against the OpenAPI document: status, code, headers, media type and body."""

import gzip
import json
from functools import cache
from typing import Any

import jsonschema_rs
from multidict import CIMultiDictProxy

from ingest.openapi.document import build_document

# Headers that HTTP itself has for any answer; OpenAPI says nothing of them, or elsewhere.
_OF_HTTP = {
    "Cache-Control",
    "Connection",
    "Content-Length",
    "Content-Type",
    "Date",
    "Server",
    "Transfer-Encoding",
}
_OF_PAGES = {
    "Content-Security-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
}

# A kind of answer: path, method, status and, of an error with a body, its code.
Kind = tuple[str, str, int, str]


class Documented:
    """What a document says of answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        elsewhere = document["components"]["responses"]
        self._validators: dict[tuple[tuple[str, str], int], Any] = {}
        self._elsewhere = {"404": elsewhere["PATH_UNKNOWN"], "405": elsewhere["METHOD_NOT_ALLOWED"]}

    def kinds(self) -> set[Kind]:
        """Return every kind of answer of every operation."""
        kinds = set()
        for path, operations in self._document["paths"].items():
            for method, operation in operations.items():
                for status, answer in operation["responses"].items():
                    for code in self._codes(answer) or [""]:
                        kinds.add((path, method.upper(), int(status), code))
        for status, answer in self._elsewhere.items():
            kinds |= {("elsewhere", "", int(status), code) for code in self._codes(answer)}
        return kinds

    def kind(
        self, method: str, path: str, status: int, headers: CIMultiDictProxy[str], body: bytes
    ) -> Kind:
        """Return the kind of an answer; fails if it is not as it is documented."""
        where, answer = self._answer(method, path, status)
        assert answer is not None, f"{method} {path}: {status} is not documented"
        _check_headers(headers, answer, self._document["components"]["headers"])
        content = answer.get("content")
        if content is None or method == "HEAD":
            assert body == b""
            return (*where, status, "")
        media_type, _, _ = headers["Content-Type"].partition(";")
        assert media_type in content, media_type
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if media_type != "application/json":
            return (*where, status, "")
        value = json.loads(body)
        self._validator(where, status, content[media_type]["schema"]).validate(value)
        return (*where, status, value.get("error", {}).get("code", ""))

    def _validator(self, where: tuple[str, str], status: int, schema: dict[str, Any]) -> Any:
        validator = self._validators.get((where, status))
        if validator is None:
            whole = schema | {"components": self._document["components"]}
            validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
            self._validators[where, status] = validator
        return validator

    def _answer(
        self, method: str, path: str, status: int
    ) -> tuple[tuple[str, str], dict[str, Any] | None]:
        template = path
        if path.startswith("/docs/"):
            template = "/docs/{asset}"
        operations = self._document["paths"].get(template, {})
        if method.lower() in operations:
            answer = operations[method.lower()]["responses"].get(str(status))
            return (template, method), answer
        found = self._elsewhere.get(str(status))
        if found is None:  # what any request may get, as one for the document itself
            found = self._document["paths"]["/openapi.json"]["get"]["responses"].get(str(status))
        return ("elsewhere", ""), found

    def _codes(self, answer: dict[str, Any]) -> list[str]:
        content = answer.get("content", {}).get("application/json", {})
        examples = self._document["components"]["examples"]
        return [examples[name]["value"]["error"]["code"] for name in content.get("examples", {})]


@cache
def documented() -> Documented:
    """Return what the document of a gateway with authentication says: that is the most."""
    return Documented(build_document(max_custom_info_value_chars=256, authenticated=True))


def _check_headers(
    headers: CIMultiDictProxy[str], answer: dict[str, Any], components: dict[str, Any]
) -> None:
    rules = {
        name.lower(): components[rule["$ref"].rpartition("/")[2]] if "$ref" in rule else rule
        for name, rule in answer.get("headers", {}).items()
    }
    for name, values in headers.items():
        if name.title().startswith("Access-Control-") or (name, values) == ("Vary", "Origin"):
            continue  # with INGEST_CORS_ORIGINS only
        rule = rules.get(name.lower())
        assert rule is not None or name.title() in {one.title() for one in _OF_HTTP | _OF_PAGES}, (
            f"{name} is not documented"
        )
        if rule is not None:
            value: Any = int(values) if rule["schema"].get("type") == "integer" else values
            jsonschema_rs.validate(rule["schema"], value)
    missing = {name for name, rule in rules.items() if rule.get("required")} - {
        name.lower() for name in headers
    }
    assert not missing, f"{missing} missing"
