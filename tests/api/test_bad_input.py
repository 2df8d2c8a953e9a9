"""PATCH: each thing that is wrong gets its status, its code and its place, and nothing is kept."""

import json
from typing import Any

import pytest

from tests.api.refusal import ID, INVALID, OK, PAYLOAD, metric, refused
from tests.harness.client import EXAMPLE, Client
from tests.harness.services import Gateway

LONG = "x" * 257

# What is wrong; where the details must say it is.
NOT_A_RESOURCE: dict[str, tuple[Any, str]] = {
    "a list": ([EXAMPLE], "(body)"),
    "a string": ("x", "(body)"),
    "a number": (1, "(body)"),
    "null": (None, "(body)"),
    "no execution id": ({"metrics": []}, "executionId"),
    "execution id null": ({"executionId": None}, "/executionId"),
    "execution id a number": ({"executionId": 12345}, "/executionId"),
    "execution id empty": ({"executionId": ""}, "/executionId"),
    "execution id short": ({"executionId": "abc"}, "/executionId"),
    "execution id long": ({"executionId": "x" * 65}, "/executionId"),
    "execution id with a slash": ({"executionId": "abc/def"}, "/executionId"),
    "execution id with a space": ({"executionId": "abc def"}, "/executionId"),
    "execution id with a line end": ({"executionId": "abcd\n"}, "/executionId"),
    "execution id not ASCII": ({"executionId": "abcdé"}, "/executionId"),
    "execution id with other digits": ({"executionId": "\u0661\u0662\u0663\u0664"}, "/executionId"),
}

NOT_VALID: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"metric": []}, '"metric"'),
    "a field in the wrong case": ({"custominfo": []}, '"custominfo"'),
    "an unknown field of a metric": (metric(labls=[]), '/metrics/0: unknown field "labls"'),
    "an unknown field of a label": (metric(labels=[OK | {"x": 1}]), "/metrics/0/labels/0"),
    "an unknown field of a tag": ({"tags": [OK | {"key": "k"}]}, "/tags/0"),
    "1001 metrics": ({"metrics": [{"name": "n", "value": 1}] * 1001}, "/metrics: has 1001"),
    "21 labels": (metric(labels=[OK] * 21), "/metrics/0/labels: has 21"),
    "101 tags": ({"tags": [OK] * 101}, "/tags: has 101"),
    "101 custom infos": ({"customInfo": [OK] * 101}, "/customInfo: has 101"),
    "metrics null": ({"metrics": None}, "/metrics"),
    "metrics an object": ({"metrics": {"0": {"name": "n", "value": 1}}}, "/metrics"),
    "a metric null": ({"metrics": [None]}, "/metrics/0"),
    "a metric a list": ({"metrics": [["n", 1]]}, "/metrics/0"),
    "tags null": ({"tags": None}, "/tags"),
    "custom info null": ({"customInfo": None}, "/customInfo"),
    "custom info an object": ({"customInfo": {"a": "b"}}, "/customInfo"),
    "no metric name": ({"metrics": [{"value": 1}]}, '/metrics/0: "name"'),
    "no metric value": ({"metrics": [{"name": "n"}]}, '/metrics/0: "value"'),
    "metric name null": (metric(name=None), "/metrics/0/name"),
    "metric name empty": (metric(name=""), "/metrics/0/name"),
    "metric name a number": (metric(name=5), "/metrics/0/name"),
    "metric name without word": (metric(name="é ü \N{ROCKET}"), "/metrics/0/name"),
    "metric name long": (metric(name=LONG), "/metrics/0/name: is 257"),
    "metric value true": (metric(value=True), "/metrics/0/value"),
    "metric value false": (metric(value=False), "/metrics/0/value"),
    "metric value a string": (metric(value="1"), "/metrics/0/value"),
    "metric value null": (metric(value=None), "/metrics/0/value"),
    "metric value a list": (metric(value=[1]), "/metrics/0/value"),
    "step negative": (metric(step=-1), "/metrics/0/step"),
    "step 2^63": (metric(step=2**63), "/metrics/0/step"),
    "step 2^64": (metric(step=2**64), "/metrics/0/step"),
    "step 2^63 with an exponent": (metric(step=float(2**63)), "/metrics/0/step"),
    "step 1e300": (metric(step=1e300), "/metrics/0/step"),
    "step a fraction": (metric(step=1.5), "/metrics/0/step"),
    "step a string": (metric(step="1"), "/metrics/0/step"),
    "step true": (metric(step=True), "/metrics/0/step"),
    "timestamp a number": (metric(timestamp=1600000000), "/metrics/0/timestamp"),
    "timestamp empty": (metric(timestamp=""), "/metrics/0/timestamp"),
    "labels an object": (metric(labels={"a": "b"}), "/metrics/0/labels"),
    "a label null": (metric(labels=[None]), "/metrics/0/labels/0"),
    "label name empty": (metric(labels=[{"name": "", "value": "v"}]), "/metrics/0/labels/0/name"),
    "label value empty": (metric(labels=[{"name": "n", "value": ""}]), "/metrics/0/labels/0/value"),
    "label value a number": (metric(labels=[OK | {"value": 1}]), "/metrics/0/labels/0/value"),
    "label value long": (metric(labels=[OK, OK | {"value": LONG}]), "/metrics/0/labels/1/value"),
    "label without value": (metric(labels=[{"name": "n"}]), "/metrics/0/labels/0"),
    "tag without name": ({"tags": [OK, {"value": "v"}]}, '/tags/1: "name"'),
    "tag name empty": ({"tags": [OK | {"name": ""}]}, "/tags/0/name: is empty"),
    "tag name long": ({"tags": [OK | {"name": LONG}]}, "/tags/0/name: is 257"),
    "tag value long": ({"tags": [OK | {"value": LONG}]}, "/tags/0/value: is 257"),
    "tag value long in emoji": ({"tags": [OK | {"value": "\N{ROCKET}" * 257}]}, "is 257"),
    "tag value null": ({"tags": [OK | {"value": None}]}, "/tags/0/value"),
    "custom info value long": ({"customInfo": [OK | {"value": LONG}]}, "/customInfo/0/value"),
    "custom info value empty": ({"customInfo": [OK | {"value": ""}]}, "/customInfo/0/value"),
}
NOT_VALID |= {
    f"timestamp {stamp}": (metric(timestamp=stamp), "/metrics/0/timestamp")
    for stamp in (
        "now", "2020-11-12", "12:18:01Z", "2020-11-12T12:18:01", "2020-11-12 12:18:01Z",
        "2020-11-12T12:18Z", "2020-11-12T12:18:01.Z", "2020-11-12T12:18:01,5Z", "20201112T121801Z",
        "2020-13-12T12:18:01Z", "2020-02-30T12:18:01Z", "2021-02-29T00:00:00Z",
        "2020-11-12T24:00:00Z", "2020-11-12T12:60:01Z", "2020-11-12T12:18:61Z",
        "2020-11-12T12:18:60Z", "2020-11-12T12:18:01+24:00", "2020-11-12T12:18:01+01",
        "2020-11-12T12:18:01+0100", "2020-11-12T12:18:01+01:60", "2020-11-12T12:18:01ZZ",
        " 2020-11-12T12:18:01Z", "2020-11-12T12:18:01Z\n", "-2020-11-12T12:18:01Z",
        "+12020-11-12T12:18:01Z", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
        "2020-0+-12T12:18:01Z", "20-0-11-12T12:18:01Z", "2020-11-1.T12:18:01.539Z",
        "2020-11-12T12:18:0-.539Z", "2020-11-12T12:18:01+0.:00", ".020-11-12T12:18:01.539Z",
        "9999-12-31T23:59:60Z", "\uff12020-11-12T12:18:01Z", "2020-11-12T12:18:01.\u0665Z",
    )
}  # fmt: skip


@pytest.mark.parametrize(("body", "place"), NOT_A_RESOURCE.values(), ids=NOT_A_RESOURCE)
async def test_what_is_not_a_resource_is_refused(
    client: Client, gateway: Gateway, body: Any, place: str
) -> None:
    answer = await refused(client, gateway, json.dumps(body).encode())
    assert (answer.status, answer.error["code"]) == INVALID
    assert place in answer.details


@pytest.mark.parametrize(("fields", "place"), NOT_VALID.values(), ids=NOT_VALID)
async def test_what_breaks_a_rule_is_refused_with_its_place(
    client: Client, gateway: Gateway, fields: dict[str, Any], place: str
) -> None:
    answer = await refused(client, gateway, json.dumps({"executionId": ID} | fields).encode())
    assert (answer.status, answer.error["code"]) == INVALID
    assert place in answer.details
    assert len(answer.error["details"]) == 1


async def test_a_custom_info_over_5_mb_is_refused_as_too_large_whatever_else_is_wrong(
    client: Client, gateway: Gateway
) -> None:
    values = [{"name": f"n{number}", "value": "x" * 60_000} for number in range(100)]
    body = {"executionId": "x", "unknown": 1, "customInfo": values, "metrics": None}
    answer = await refused(client, gateway, json.dumps(body).encode())
    assert (answer.status, answer.error["code"]) == PAYLOAD


async def test_every_violation_is_listed_the_headers_too(client: Client, gateway: Gateway) -> None:
    body = {
        "executionId": "x",
        "metrics": [{"name": "", "value": "1"}, {"value": 1, "step": -1, "labels": [{"name": ""}]}],
        "tags": [OK] * 101,
        "customInfo": None,
        "more": 1,
        "a/b~c": 2,
    }
    answer = await refused(client, gateway, json.dumps(body).encode(), group="-")
    assert (answer.status, answer.error["code"]) == INVALID
    for place in (
        "(header AI-Resource-Group)", "/executionId: ", "/metrics/0/name: ", "/metrics/0/value: ",
        "/metrics/1: ", "/metrics/1/step: ", "/metrics/1/labels/0/name: ", "/metrics/1/labels/0: ",
        "/tags: ", "/customInfo: ", '"more"', '"a/b~c"',
    ):  # fmt: skip
        assert place in answer.details
    assert {detail["code"] for detail in answer.error["details"]} == {"02011002"}


async def test_the_answer_to_countless_violations_stays_readable(
    client: Client, gateway: Gateway
) -> None:
    body = {"executionId": ID, "metrics": [{"x" * 1000: "y" * 1000}] * 3000}
    answer = await refused(client, gateway, json.dumps(body).encode())
    assert answer.status == 400
    assert 1000 <= len(answer.error["details"]) <= 1001
    assert len(answer.body) < 1024 * 1024


@pytest.mark.parametrize(
    "group",
    ["", "ab", "x" * 254, "-abc", "abc-", ".abc", "abc.", "a b", "a_b_c", "abc/d", "grüße", "a\tb"],
)
async def test_a_wrong_resource_group_is_refused(
    client: Client, gateway: Gateway, group: str
) -> None:
    body = json.dumps({"executionId": ID}).encode()
    answer = await refused(client, gateway, body, group)
    assert (answer.status, answer.error["code"]) == (400, "02011004")
    assert "AI-Resource-Group" in answer.details


async def test_a_missing_resource_group_is_refused(client: Client) -> None:
    body = json.dumps({"executionId": ID}).encode()
    headers = {"Content-Type": "application/json"}
    answer = await client.request("PATCH", data=body, headers=headers)
    assert (answer.status, answer.error["code"]) == (400, "02011004")
    assert "is missing" in answer.details
