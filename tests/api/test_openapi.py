"""/openapi.json: valid, complete, and what the gateway itself validates by."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from deploy.local import example
from ingest.contract.resource import metric_resource_schema
from ingest.errors import Error, RequestError
from ingest.openapi.document import build_document
from tests.api.conftest import LONG_VALUE_CHARS
from tests.harness.client import EXAMPLE, Client
from tests.harness.services import Gateway

DOCUMENT = build_document(max_custom_info_value_chars=256, authenticated=True)
METHODS = ("patch", "get", "delete")


def address(gateway: Gateway) -> str:
    return gateway.url.removesuffix("/v2") + "/openapi.json"


async def served(gateway: Gateway, client: Client) -> dict[str, Any]:
    answer = await client.request("GET", url=address(gateway), headers={})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-ID"]
    document: dict[str, Any] = answer.json
    return document


def schemas(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Yield every schema that has examples beside it, with the examples, references resolved."""

    def resolved(value: dict[str, Any]) -> Any:
        while "$ref" in value:
            *path, name = value["$ref"].removeprefix("#/").split("/")
            value = document
            for part in [*path, name]:
                value = value[part]
        return value

    def walk(value: Any) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        if isinstance(value, dict):
            if isinstance(value.get("schema"), dict):
                named = [resolved(one)["value"] for one in value.get("examples", {}).values()]
                yield value["schema"], named + ([value["example"]] if "example" in value else [])
            for one in value.values():
                yield from walk(one)
        elif isinstance(value, list):
            for one in value:
                yield from walk(one)

    yield from walk({name: part for name, part in document.items() if name != "info"})


def validator(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    whole = schema | {"components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@pytest.mark.parametrize("authenticated", [True, False])
def test_the_document_is_openapi_3_1(*, authenticated: bool) -> None:
    document = build_document(max_custom_info_value_chars=256, authenticated=authenticated)
    validate(document, cls=OpenAPIV31SpecValidator)


def test_what_is_not_openapi_would_be_found() -> None:
    for broken in (
        DOCUMENT | {"info": {}},
        DOCUMENT | {"paths": {"/x": {"get": {"responses": {"200": {}}}}}},
        DOCUMENT | {"paths": {"/x": {"get": {"responses": {"$ref": "#/components/nothing"}}}}},
    ):
        with pytest.raises(OpenAPIValidationError):
            validate(broken, cls=OpenAPIV31SpecValidator)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for kind, components in DOCUMENT["components"].items():
        for name in components:
            if kind not in ("responses", "securitySchemes"):
                assert f'"#/components/{kind}/{name}"' in text
    list(schemas(DOCUMENT))


def test_every_schema_is_json_schema_2020_12() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema | {"$schema": metric_resource_schema()["$schema"]})


def test_every_example_satisfies_its_schema() -> None:
    examples = 0
    for schema, values in schemas(DOCUMENT):
        for value in values:
            validator(schema, DOCUMENT).validate(value)
            examples += 1
    assert examples > len(Error)


def test_the_examples_are_the_document_s_own_everywhere() -> None:
    content = DOCUMENT["paths"]["/v2/lm/metrics"]["patch"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/merge-patch+json"}
    for media_type in content.values():
        assert media_type["examples"]["document"]["value"] == EXAMPLE
    assert json.loads(example.BODY) == EXAMPLE


@pytest.mark.parametrize("error", Error)
def test_every_error_of_the_table_is_documented_with_its_status(error: Error) -> None:
    operations = DOCUMENT["paths"]["/v2/lm/metrics"]
    answers = [(code, one) for m in METHODS for code, one in operations[m]["responses"].items()]
    answers += [("404", DOCUMENT["components"]["responses"]["PATH_UNKNOWN"])]
    answers += [("405", DOCUMENT["components"]["responses"]["METHOD_NOT_ALLOWED"])]
    places = [
        (status, answer)
        for status, answer in answers
        if error.name in answer.get("content", {}).get("application/json", {}).get("examples", {})
    ]
    assert places
    body = orjson.loads(RequestError(error, ["what is wrong"]).body("request"))
    for status, answer in places:
        assert status == str(error.value.status)
        schema = answer["content"]["application/json"]["schema"]
        validator(schema, DOCUMENT).validate(body)
        assert error.value.code in answer["description"]
        assert error.value.message in answer["description"]
        other = json.loads(json.dumps(body).replace(error.value.code, "99999999"))
        assert not validator(schema, DOCUMENT).is_valid(other)


def test_answers_have_the_headers_that_their_status_asks_for() -> None:
    wanted = {
        "400": "WWW-Authenticate",  # of a request with two tokens
        "401": "WWW-Authenticate",
        "403": "WWW-Authenticate",
        "405": "Allow",
        "429": "Retry-After",
        "503": "Retry-After",
    }
    operations = [DOCUMENT["paths"]["/v2/lm/metrics"][method] for method in METHODS]
    answers = [pair for one in operations for pair in one["responses"].items()]
    answers.append(("405", DOCUMENT["components"]["responses"]["METHOD_NOT_ALLOWED"]))
    for status, answer in answers:
        more = {wanted[status]} if status in wanted else set()
        more |= {"Vary", "Content-Encoding"} if "content" in answer else set()
        assert set(answer["headers"]) == {"X-Request-ID"} | more


def test_without_authentication_nothing_asks_for_a_token() -> None:
    document = build_document(max_custom_info_value_chars=256, authenticated=False)
    assert "security" not in document
    assert "securitySchemes" not in document["components"]
    for operation in document["paths"]["/v2/lm/metrics"].values():
        assert not {"401", "403"} & operation["responses"].keys()
        assert "KEYS_AWAY" not in json.dumps(operation)


def test_with_authentication_all_but_the_document_itself_does() -> None:
    assert DOCUMENT["security"] == [{"bearer": []}]
    assert DOCUMENT["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert DOCUMENT["paths"]["/openapi.json"]["get"]["security"] == []
    for method, operation in DOCUMENT["paths"]["/v2/lm/metrics"].items():
        # A browser's preflight has no token.
        assert ({"401", "403"} <= operation["responses"].keys()) is (method != "options")
        assert operation.get("security") == ([] if method == "options" else None)


async def test_the_body_s_schema_is_the_one_that_validates(
    gateway: Gateway, client: Client
) -> None:
    document = await served(gateway, client)
    sent = document["components"]["schemas"]["MetricResource"]
    schema = metric_resource_schema()
    assert schema.pop("$schema") == "https://json-schema.org/draft/2020-12/schema"
    assert sent == schema


async def test_a_setting_that_changes_a_limit_changes_the_document(
    roomy: Gateway, client: Client
) -> None:
    document = await served(roomy, client)
    custom_info = document["components"]["schemas"]["MetricResource"]["properties"]["customInfo"]
    assert custom_info["items"]["properties"]["value"]["maxLength"] == LONG_VALUE_CHARS


async def test_the_document_has_no_other_method(gateway: Gateway, client: Client) -> None:
    for method in ("PATCH", "POST", "DELETE"):
        answer = await client.request(method, url=address(gateway))
        assert (answer.status, answer.error["code"]) == (405, "02011012")
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_what_get_answers_satisfies_the_document(
    gateway: Gateway, client: Client, execution_id: str
) -> None:
    document = await served(gateway, client)
    schema = {"$ref": "#/components/schemas/QueryResult"}
    metric = {"name": "a", "value": 1, "step": None, "timestamp": None, "labels": None}
    await client.accepted(
        EXAMPLE | {"executionId": execution_id, "metrics": [*EXAMPLE["metrics"], metric]}
    )
    for select in ("*", "tags", "metrics,customInfo"):
        answer = await client.query(executionIds=execution_id, select=select)
        validator(schema, document).validate(answer.json)
