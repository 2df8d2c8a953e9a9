"""PATCH then GET: what was sent comes back as it was. Names, numbers, timestamps, steps."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness.client import Client

AT = "2026-01-01T00:00:00.000Z"
NAMES = [
    "a.b",
    "$set",
    "$a.$b.",
    ".",
    "a\0b",
    "\0x",
    "loss \N{ROCKET}",
    "x" + "\N{ROCKET}" * 255,
    "x" * 256,
    "é" * 255 + "e",
    "e\u0301 is not \u00e9",
    "a/b~c%2F",
    "x __proto__",
    "_id",
    "'\"\\;--<script>x",
    "line\r\nbreak\tx",
    "\u202ex\u200b\ufeff",
    "x\u2028\uffff\U0010ffff",
    " x ",
]


async def stored(client: Client, execution_id: str, **fields: Any) -> dict[str, Any]:
    """Send a metric; return it as it was read back."""
    metric = {"name": "loss", "value": 1} | fields
    await client.accepted({"executionId": execution_id, "metrics": [metric]})
    (point,) = (await client.resource(execution_id))["metrics"]
    assert isinstance(point, dict)
    return point


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_any_name_comes_back_unchanged_wherever_it_stands(
    client: Client, execution_id: str, name: str
) -> None:
    items = [{"name": name, "value": name}]
    body = {
        "executionId": execution_id,
        "metrics": [{"name": f"m{name}"[:256], "value": 1, "timestamp": AT, "labels": items}],
        "tags": items,
        "customInfo": items,
    }
    await client.accepted(body)
    resource = await client.resource(execution_id)
    assert {field: resource[field] for field in body} == body


async def test_names_that_only_look_alike_are_different(client: Client, execution_id: str) -> None:
    names = [
        "a",
        "A",
        "a ",
        "a.",
        "a/",
        "a\0",
        "é",
        "e\u0301",
        "a/b",
        "a%2Fb",
        "a.b",
        "$a",
        "\uff41",
    ]
    body = {
        "executionId": execution_id,
        "tags": [{"name": name, "value": name} for name in names],
        "metrics": [{"name": f"x{name}", "value": 1, "timestamp": AT} for name in names],
    }
    await client.accepted(body)
    resource = await client.resource(execution_id)
    assert {tag["name"] for tag in resource["tags"]} == set(names)
    assert all(tag["name"] == tag["value"] for tag in resource["tags"])
    assert {metric["name"] for metric in resource["metrics"]} == {f"x{name}" for name in names}


@pytest.mark.parametrize(
    "number",
    [
        "0", "1", "-1", "0.98", "-0.0", "1e308", "-1.7976931348623157e308", "5e-324", "1e-400",
        "0.1", "123456789.123456789", "9007199254740993", "-9223372036854775808",
        "9223372036854775807", "9223372036854775808", "18446744073709551615", "1E+2",
    ],
)  # fmt: skip
async def test_any_number_comes_back_as_it_was_sent(
    client: Client, execution_id: str, number: str
) -> None:
    body = f'{{"executionId":"{execution_id}","metrics":[{{"name":"n","value":{number}}}]}}'
    assert (await client.patch(body.encode())).status == 204
    answer = await client.query(executionIds=execution_id)
    value = answer.json["resources"][0]["metrics"][0]["value"]
    sent = json.loads(number)
    assert repr(value) == repr(sent)  # an integer stays one, and -0.0 keeps its sign


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("2020-11-12T12:18:01.539Z", "2020-11-12T12:18:01.539Z"),
        ("2020-11-12T12:18:01Z", "2020-11-12T12:18:01.000Z"),
        ("2020-11-12t12:18:01z", "2020-11-12T12:18:01.000Z"),
        ("2020-11-12T12:18:01.1Z", "2020-11-12T12:18:01.100Z"),
        ("2020-11-12T12:18:01.12Z", "2020-11-12T12:18:01.120Z"),
        ("2020-11-12T12:18:01.1234Z", "2020-11-12T12:18:01.123400Z"),
        ("2020-11-12T12:18:01.12345Z", "2020-11-12T12:18:01.123450Z"),
        ("2020-11-12T12:18:01.123456Z", "2020-11-12T12:18:01.123456Z"),
        ("2020-11-12T12:18:01.1234567Z", "2020-11-12T12:18:01.123456700Z"),
        ("2020-11-12T12:18:01.12345678Z", "2020-11-12T12:18:01.123456780Z"),
        ("2020-11-12T12:18:01.123456789Z", "2020-11-12T12:18:01.123456789Z"),
        ("2020-11-12T12:18:01.120000000Z", "2020-11-12T12:18:01.120Z"),
        ("2020-11-12T12:18:01+00:00", "2020-11-12T12:18:01.000Z"),
        ("2020-11-12T12:18:01-00:00", "2020-11-12T12:18:01.000Z"),
        ("2020-01-01T00:30:00.5+05:45", "2019-12-31T18:45:00.500Z"),
        ("2020-12-31T23:30:00-23:59", "2021-01-01T23:29:00.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("2017-01-01T00:59:60.25+01:00", "2017-01-01T00:00:00.250Z"),
        ("2020-02-29T00:00:00Z", "2020-02-29T00:00:00.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
    ],
)
async def test_a_timestamp_comes_back_as_the_same_instant_in_utc(
    client: Client, execution_id: str, sent: str, returned: str
) -> None:
    assert (await stored(client, execution_id, timestamp=sent))["timestamp"] == returned


async def test_any_timestamp_that_is_accepted_comes_back_as_one(
    client: Client, execution_id: str
) -> None:
    dice = random.Random(3)  # noqa: S311 - the same damage every time
    stamps = []
    for _ in range(900):
        stamp = list("2020-11-12T12:18:01.539Z" if dice.random() < 0.5 else "2020-11-12T12:18:01Z")
        for _ in range(dice.randint(1, 2)):
            stamp[dice.randrange(len(stamp))] = dice.choice("0123456789+-.:,/TZ ")
        stamps.append("".join(stamp))
    answer = await client.patch(with_timestamps(execution_id, stamps))
    wrong = {detail["message"].split("/")[2] for detail in answer.error["details"]}
    right = [stamp for number, stamp in enumerate(stamps) if str(number) not in wrong]
    assert 50 < len(right) < 850
    await client.accepted(with_timestamps(execution_id, right))
    resource = await client.resource(execution_id)
    assert len(resource["metrics"]) == len(right)
    for metric in resource["metrics"]:
        datetime.strptime(metric["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def with_timestamps(execution_id: str, stamps: list[str]) -> dict[str, Any]:
    metrics = [
        {"name": "n", "value": 1, "step": number, "timestamp": stamp}
        for number, stamp in enumerate(stamps)
    ]
    return {"executionId": execution_id, "metrics": metrics}


@pytest.mark.parametrize("absent", [{}, {"timestamp": None}], ids=str)
async def test_without_a_timestamp_a_metric_gets_the_time_of_receipt(
    client: Client, execution_id: str, absent: dict[str, None]
) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    text = (await stored(client, execution_id, **absent))["timestamp"]
    received = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert before <= received <= datetime.now(UTC)


async def test_metrics_without_timestamps_of_two_requests_are_two_points(
    client: Client, execution_id: str
) -> None:
    for value in range(50):
        await client.accepted(
            {"executionId": execution_id, "metrics": [{"name": "loss", "value": value}]}
        )
    metrics = (await client.resource(execution_id))["metrics"]
    assert [metric["value"] for metric in metrics] == list(range(50))


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ({"step": 0}, {"step": 0}),
        ({"step": 2**63 - 1}, {"step": 2**63 - 1}),
        ({"step": 2.0}, {"step": 2}),
        ({"step": -0.0}, {"step": 0}),
        ({"step": 1e18}, {"step": 10**18}),
        ({"step": None}, {}),
        ({"labels": None}, {}),
        ({"step": None, "labels": None}, {}),
    ],
    ids=str,
)
async def test_a_step_comes_back_as_an_integer_and_null_means_absent(
    client: Client, execution_id: str, sent: dict[str, Any], returned: dict[str, Any]
) -> None:
    point = await stored(client, execution_id, timestamp=AT, **sent)
    assert repr(point) == repr({"name": "loss", "value": 1, "timestamp": AT} | returned)


async def test_labels_come_back_as_they_were_sent(client: Client, execution_id: str) -> None:
    sent = [{"name": f"label {number % 7}", "value": str(number)} for number in range(20)]
    assert (await stored(client, execution_id, labels=sent))["labels"] == sent


@pytest.mark.parametrize("execution_id", ["abcd", "....", "----", "____", "a.B-9_", "x" * 64])
async def test_any_valid_execution_id_can_be_stored_queried_and_deleted(
    client: Client, execution_id: str
) -> None:
    await client.accepted({"executionId": execution_id})
    assert (await client.resource(execution_id))["executionId"] == execution_id
    assert (await client.delete(execution_id)).status == 200


async def test_any_json_whitespace_and_escapes_mean_the_same(
    client: Client, execution_id: str
) -> None:
    body = (
        f'\r\n\t {{ "execution\\u0049d" : "{execution_id}" ,\n'
        r'"tags":[{"name":"\u0061\ud83d\ude80\/","value":"\"\\\b\f\n\r\t"}]}' + "\t\n"
    )
    assert (await client.patch(body.encode())).status == 204
    assert (await client.resource(execution_id))["tags"] == [
        {"name": "a\N{ROCKET}/", "value": '"\\\b\f\n\r\t'}
    ]
