"""PATCH: what an update means, and how updates of one resource add up."""

import asyncio
from typing import Any

import pytest

from tests.harness.client import EXAMPLE, Client

T1, T2 = "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z"


def point(value: float, **fields: Any) -> dict[str, Any]:
    """Make a metric that has an identity: a time, and whatever else is given."""
    return {"name": "loss", "value": value, "timestamp": T1} | fields


def labels(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def values(resource: dict[str, Any]) -> list[Any]:
    return [metric["value"] for metric in resource["metrics"]]


def by_name(items: list[dict[str, str]]) -> dict[str, str]:
    named = {item["name"]: item["value"] for item in items}
    assert len(named) == len(items)
    return named


async def test_the_documents_example_is_stored_and_read_back(client: Client) -> None:
    await client.accepted(EXAMPLE)
    resource = await client.resource(EXAMPLE["executionId"])
    assert resource.pop("createdAt") == resource.pop("modifiedAt")
    assert resource == EXAMPLE


async def test_a_bare_execution_id_creates_the_resource(client: Client, execution_id: str) -> None:
    await client.accepted({"executionId": execution_id})
    resource = await client.resource(execution_id)
    assert resource.pop("createdAt") == resource.pop("modifiedAt")
    assert resource == {"executionId": execution_id, "metrics": [], "tags": [], "customInfo": []}


async def test_empty_lists_are_valid_and_take_nothing_away(
    client: Client, execution_id: str
) -> None:
    await client.accepted(EXAMPLE | {"executionId": execution_id})
    await client.accepted(
        {"executionId": execution_id, "metrics": [], "tags": [], "customInfo": []}
    )
    resource = await client.resource(execution_id)
    assert {name: resource[name] for name in EXAMPLE} == EXAMPLE | {"executionId": execution_id}


async def test_metrics_are_appended(client: Client, execution_id: str) -> None:
    for step in range(5):
        await client.accepted({"executionId": execution_id, "metrics": [point(step, step=step)]})
    assert values(await client.resource(execution_id)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "accuracy"},
        {"timestamp": T2},
        {"step": 1},
        {"step": 0},
        {"labels": labels(group="tree-83")},
        {"labels": labels(group="tree-82", other="x")},
        {"labels": []},
    ],
    ids=str,
)
async def test_points_that_differ_in_any_part_of_their_identity_both_stand(
    client: Client, execution_id: str, change: dict[str, Any]
) -> None:
    first = point(1, labels=labels(group="tree-82"))
    for metric in (first, first | {"value": 2} | change):
        await client.accepted({"executionId": execution_id, "metrics": [metric]})
    assert sorted(values(await client.resource(execution_id))) == [1, 2]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({"step": 7}, {"step": 7.0}),
        ({"step": None}, {}),
        ({"labels": []}, {}),
        ({"labels": None}, {"labels": []}),
        ({"labels": labels(a="1", b="2")}, {"labels": labels(b="2", a="1")}),
        ({"labels": labels(a="1")}, {"labels": labels(a="1") * 2}),
        ({"timestamp": T1}, {"timestamp": "2026-01-01T02:00:00+02:00"}),
        ({"timestamp": T1}, {"timestamp": "2025-12-31t18:30:00.000000000-05:30"}),
    ],
    ids=str,
)
async def test_of_two_points_with_one_identity_the_laters_value_stands(
    client: Client, execution_id: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    for metric in (point(1, **first), point(2, **second)):
        await client.accepted({"executionId": execution_id, "metrics": [metric]})
    assert values(await client.resource(execution_id)) == [2]


async def test_inside_one_body_the_later_item_stands(client: Client, execution_id: str) -> None:
    twice = [{"name": "n", "value": "z"}, {"name": "n", "value": "a"}]
    body = {"executionId": execution_id, "tags": twice, "customInfo": twice}
    await client.accepted(body | {"metrics": [point(9), point(1, step=1), point(3)]})
    resource = await client.resource(execution_id)
    assert values(resource) == [3, 1]
    assert resource["tags"] == resource["customInfo"] == [{"name": "n", "value": "a"}]


@pytest.mark.parametrize("section", ["tags", "customInfo"])
async def test_a_named_value_is_replaced_and_the_others_stay(
    client: Client, execution_id: str, section: str
) -> None:
    await client.accepted({"executionId": execution_id, section: labels(a="z", b="old", c="3")})
    await client.accepted({"executionId": execution_id, section: labels(b="a new one", d="4")})
    resource = await client.resource(execution_id)
    assert by_name(resource[section]) == {"a": "z", "b": "a new one", "c": "3", "d": "4"}


async def test_a_section_that_is_not_sent_stays(client: Client, execution_id: str) -> None:
    for section in ("metrics", "tags", "customInfo"):
        await client.accepted({"executionId": execution_id, section: EXAMPLE[section]})
    resource = await client.resource(execution_id)
    assert {name: resource[name] for name in EXAMPLE} == EXAMPLE | {"executionId": execution_id}


async def test_sending_the_same_body_again_changes_nothing(
    client: Client, execution_id: str
) -> None:
    body = EXAMPLE | {"executionId": execution_id}
    await client.accepted(body)
    before = await client.resource(execution_id)
    for _ in range(3):
        await client.accepted(body)
    after = await client.resource(execution_id)
    assert after.pop("modifiedAt") > before.pop("modifiedAt")
    assert after == before


async def test_what_get_returned_can_be_sent_back_and_changes_nothing(
    client: Client, execution_id: str
) -> None:
    receipt_time = {"name": "no timestamp", "value": 1}
    await client.accepted(EXAMPLE | {"executionId": execution_id})
    await client.accepted({"executionId": execution_id, "metrics": [receipt_time]})
    before = await client.resource(execution_id)
    await client.accepted(before)
    after = await client.resource(execution_id)
    assert after.pop("modifiedAt") > before.pop("modifiedAt")
    assert after == before


async def test_times_of_creation_and_change_are_the_gateways_own(
    client: Client, execution_id: str
) -> None:
    body = {"executionId": execution_id, "createdAt": T1, "modifiedAt": "whatever"}
    await client.accepted(body)
    first = await client.resource(execution_id)
    assert T2 < first["createdAt"] == first["modifiedAt"]
    await client.accepted(body)
    second = await client.resource(execution_id)
    assert second["createdAt"] == first["createdAt"] < second["modifiedAt"]


async def test_concurrent_updates_of_one_resource_all_count(
    client: Client, execution_id: str
) -> None:
    await asyncio.gather(
        *(
            client.accepted(
                {
                    "executionId": execution_id,
                    "metrics": [point(number, step=number)],
                    "tags": [{"name": f"tag {number}", "value": str(number)}],
                }
            )
            for number in range(200)
        )
    )
    resource = await client.resource(execution_id)
    assert values(resource) == list(range(200))
    assert len(resource["tags"]) == 200


async def test_a_later_update_wins_however_many_are_in_flight(
    client: Client, execution_id: str
) -> None:
    for number in range(100):
        await client.accepted(
            {
                "executionId": execution_id,
                "metrics": [point(number)],
                "tags": [{"name": "last", "value": str(number)}],
            }
        )
    resource = await client.resource(execution_id)
    assert values(resource) == [99]
    assert resource["tags"] == [{"name": "last", "value": "99"}]
