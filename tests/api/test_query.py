"""GET by execution ids and by $filter, with $select; what an answer looks like."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.client import EXAMPLE, Client

T = "2026-01-01T00:00:0{}.000Z"
SECTIONS = {"metrics", "tags", "customInfo"}
ELEVEN = ",".join(f"'run-{number}'" for number in range(11))
ALWAYS = {"executionId", "createdAt", "modifiedAt"}


async def ids(client: Client, **parameters: str) -> list[str]:
    """Query; return the execution ids found, in order."""
    answer = await client.query(**parameters)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith("application/json")
    found = answer.json
    assert set(found) == {"count", "resources"}
    assert found["count"] == len(found["resources"])
    return [resource["executionId"] for resource in found["resources"]]


async def create(client: Client, *execution_ids: str) -> None:
    for execution_id in execution_ids:
        await client.accepted(EXAMPLE | {"executionId": execution_id})


async def test_one_to_ten_ids_are_found_each_once(client: Client) -> None:
    every = [f"run-{number}" for number in range(10)]
    await create(client, *every)
    for count in range(1, 11):
        assert await ids(client, executionIds=",".join(every[:count])) == every[:count]


async def test_ids_that_do_not_exist_are_left_out(client: Client) -> None:
    await create(client, "run-1", "run-3")
    assert await ids(client, executionIds="run-0,run-1,run-2,run-3,run-4") == ["run-1", "run-3"]


async def test_an_id_given_twice_is_found_once(client: Client) -> None:
    await create(client, "run-1")
    assert await ids(client, executionIds="run-1,run-1") == ["run-1"]
    assert await ids(client, executionIds=",".join(["run-1"] * 20)) == ["run-1"]


async def test_ids_are_told_apart_by_case_and_never_by_prefix(client: Client) -> None:
    await create(client, "run.1", "Run.1", "run.11", "run-1")
    assert await ids(client, executionIds="run.1") == ["run.1"]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("executionId eq 'run-1'", ["run-1"]),
        ("  executionId   eq   'run-1'  ", ["run-1"]),
        ("executionId EQ 'run-1'", ["run-1"]),
        ("executionId in ('run-1')", ["run-1"]),
        ("executionId in ('run-1','run-2')", ["run-1", "run-2"]),
        ("executionId in ( 'run-2' , 'run-1', 'run-9' )", ["run-1", "run-2"]),
        ("executionId in('run-1')", ["run-1"]),
    ],
)
async def test_a_filter_finds_ids(client: Client, expression: str, found: list[str]) -> None:
    await create(client, "run-1", "run-2", "run-3")
    assert await ids(client, filter=expression) == found


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ({}, "executionIds"),
        ({"select": "metrics"}, "executionIds"),
        ({"top": "5"}, "executionIds"),
        ({"executionIds": "run-1", "filter": "executionId eq 'run-1'"}, "executionIds, $filter"),
        ({"executionIds": ""}, "executionIds"),
        ({"executionIds": "abc"}, "executionIds"),
        ({"executionIds": "run-1,"}, "executionIds"),
        ({"executionIds": "run-1,,run-2"}, "executionIds"),
        ({"executionIds": "run-1, run-2"}, "executionIds"),
        ({"executionIds": "run/1"}, "executionIds"),
        ({"executionIds": "rün-1"}, "executionIds"),
        ({"executionIds": "x" * 65}, "executionIds"),
        ({"executionIds": ",".join(f"run-{n}" for n in range(11))}, "executionIds: has 11 ids"),
        ({"filter": ""}, "$filter"),
        ({"filter": "executionId"}, "$filter"),
        ({"filter": "executionId eq run-1"}, "$filter"),
        ({"filter": 'executionId eq "run-1"'}, "$filter"),
        ({"filter": "executionId ne 'run-1'"}, "$filter"),
        ({"filter": "executionId eq 'run-1' or executionId eq 'run-2'"}, "$filter"),
        ({"filter": "executionId in ()"}, "$filter"),
        ({"filter": "executionId in ('run-1',)"}, "$filter"),
        ({"filter": "executionId in 'run-1'"}, "$filter"),
        ({"filter": "executionId eq ''"}, "$filter"),
        ({"filter": "executionId eq 'a b'"}, "$filter"),
        ({"filter": "scenarioId eq 'run-1'"}, "$filter"),
        ({"filter": "executionId in (" + "'run-1'," * 2000}, "$filter"),
        ({"filter": f"executionId in ({ELEVEN})"}, "$filter: has 11 ids"),
        ({"executionIds": "run-1", "select": ""}, "$select"),
        ({"executionIds": "run-1", "select": "metric"}, "$select: 'metric'"),
        ({"executionIds": "run-1", "select": "Tags"}, "$select"),
        ({"executionIds": "run-1", "select": "tags,"}, "$select"),
        ({"executionIds": "run-1", "select": "*,executionId"}, "$select"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_wrong_query_is_refused_with_the_parameters_name(
    client: Client, parameters: dict[str, str], place: str
) -> None:
    answer = await client.query(**parameters)
    assert answer.status == 400
    assert answer.error["code"] == "02011003"
    assert place in answer.details


async def test_every_violation_of_a_query_is_listed(client: Client) -> None:
    answer = await client.query(
        executionIds="x", select="all", top="0", skip="-1", tagFilters="=value"
    )
    assert answer.status == 400
    details = [detail["message"] for detail in answer.error["details"]]
    assert [one.split(":")[0] for one in details] == [
        "executionIds", "tagFilters", "$select", "$top", "$skip",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("select", "sections"),
    [
        (None, SECTIONS),
        ("*", SECTIONS),
        ("metrics", {"metrics"}),
        ("tags", {"tags"}),
        ("customInfo", {"customInfo"}),
        ("metrics,tags", {"metrics", "tags"}),
        ("customInfo, tags", {"customInfo", "tags"}),
        ("metrics,tags,customInfo", SECTIONS),
        ("tags,*", SECTIONS),
        ("tags,tags", {"tags"}),
    ],
)
async def test_only_the_selected_sections_are_in_the_answer(
    client: Client, select: str | None, sections: set[str]
) -> None:
    await create(client, "full")
    await client.accepted({"executionId": "empty"})
    parameters = {} if select is None else {"select": select}
    full = await client.resource("full", **parameters)
    assert set(full) == ALWAYS | sections
    assert {name: full[name] for name in sections} == {name: EXAMPLE[name] for name in sections}
    empty = await client.resource("empty", **parameters)
    assert set(empty) == ALWAYS | sections
    assert all(empty[name] == [] for name in sections)


async def test_nothing_found_is_404_with_the_published_code(client: Client) -> None:
    answer = await client.query(executionIds="run-1,run-2")
    assert answer.status == 404
    assert answer.error["code"] == "02010055"
    assert answer.error["message"] == "Metrics was not found."


async def test_groups_never_see_each_other(client: Client, other_group: Client) -> None:
    await create(client, "shared-id", "only-mine")
    await other_group.accepted({"executionId": "shared-id", "tags": [{"name": "a", "value": "b"}]})
    assert (await client.resource("shared-id"))["tags"] == EXAMPLE["tags"]
    assert (await other_group.resource("shared-id"))["tags"] == [{"name": "a", "value": "b"}]
    assert (await other_group.query(executionIds="only-mine")).status == 404
    assert (await other_group.query(tagFilters=quote("Artifact Group"))).status == 404
    assert await ids(other_group, tagFilters="a") == ["shared-id"]
    assert (await client.query(tagFilters="a")).status == 404


async def test_metrics_come_by_step_then_time_then_name(client: Client, execution_id: str) -> None:
    def metric(step: int | None, time: str, name: str) -> dict[str, Any]:
        where = {} if step is None else {"step": step}
        return {"name": name, "value": 1, "timestamp": time} | where

    ordered = [
        metric(None, T.format(0), "a"),
        metric(None, T.format(1), "a"),
        metric(0, T.format(2), "a"),
        metric(0, T.format(2), "b"),
        metric(0, "2026-01-01T00:00:02.000001Z", "a"),
        metric(0, "2026-01-01T00:00:02.001Z", "B"),
        metric(0, "2026-01-01T00:00:02.001Z", "a"),
        metric(0, "2026-01-01T00:00:02.500Z", "a"),
        metric(0, "2026-01-01T00:00:02.539Z", "a"),
        metric(2, T.format(0), "z"),
        metric(10, T.format(0), "a"),
        metric(2**63 - 1, T.format(0), "a"),
    ]
    for at in (7, 0, 11, 3, 9, 5):
        await client.accepted({"executionId": execution_id, "metrics": [ordered[at]]})
    await client.accepted({"executionId": execution_id, "metrics": ordered[::-1]})
    assert (await client.resource(execution_id))["metrics"] == ordered


async def test_tags_and_custom_info_come_in_a_stable_order(
    client: Client, execution_id: str
) -> None:
    items = [{"name": f"n{number:02}", "value": "v"} for number in range(60)]
    for part in (items[30:], items[:30]):
        await client.accepted({"executionId": execution_id, "tags": part, "customInfo": part})
    resource = await client.resource(execution_id)
    assert resource["tags"] == resource["customInfo"] == items


@pytest.mark.parametrize("group", [None, "", "ab", "-abc", "abc-", "a b", "a_b_c", "x" * 254])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_wrong_or_missing_resource_group_is_refused(
    client: Client, method: str, group: str | None
) -> None:
    headers = {} if group is None else {"AI-Resource-Group": group}
    params = {"executionIds": "run-1", "executionId": "run-1"}
    answer = await client.request(method, params=params, headers=headers)
    assert (answer.status, answer.error["code"]) == (400, "02011004")
    assert "AI-Resource-Group" in answer.details


@pytest.mark.parametrize("group", ["abc", "a" * 253, "A.b-9", "a..b", "123"])
async def test_any_valid_resource_group_is_accepted(client: Client, group: str) -> None:
    headers = {"AI-Resource-Group": group, "Content-Type": "application/json"}
    sent = await client.request("PATCH", headers=headers, data=b'{"executionId": "run-1"}')
    assert sent.status == 204
    found = await client.request("GET", headers=headers, params={"executionIds": "run-1"})
    assert found.status == 200
