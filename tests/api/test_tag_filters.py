"""GET by tagFilters, with names and values that hold the syntax's own characters."""

from urllib.parse import quote

import pytest

from tests.api.wire import PATH, exchange, request
from tests.harness.client import Client
from tests.harness.services import Gateway

SPECIAL = "a,b=c!d&e#f%g+h i/j\N{ROCKET}%2C"

RUNS: dict[str, dict[str, str]] = {
    "run-1": {"stage": "test", "model": "a"},
    "run-2": {"stage": "test", "model": "b"},
    "run-3": {"stage": "live", "model": "a", SPECIAL: SPECIAL},
    "run-4": {"owner": "me", "x!y": "z", "x": "=z"},
    "run-5": {},
}


def encoded(text: str) -> str:
    """Percent-encode a name or a value, before the URL's own encoding comes on top."""
    return quote(text, safe="")


async def create_runs(client: Client) -> None:
    for execution_id, tags in RUNS.items():
        items = [{"name": name, "value": value} for name, value in tags.items()]
        await client.accepted({"executionId": execution_id, "tags": items})


async def found(client: Client, **parameters: str) -> list[str]:
    answer = await client.query(**parameters)
    if answer.status == 404:
        assert answer.error["code"] == "02010055"
        return []
    assert answer.status == 200, answer.body
    assert answer.json["count"] == len(answer.json["resources"])
    return [resource["executionId"] for resource in answer.json["resources"]]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("stage=test", ["run-1", "run-2"]),
        ("stage=live", ["run-3"]),
        ("stage=tes", []),
        ("Stage=test", []),
        ("stage!=test", ["run-3", "run-4", "run-5"]),
        ("stage", ["run-1", "run-2", "run-3"]),
        ("owner", ["run-4"]),
        ("nobody", []),
        ("nobody!=x", ["run-1", "run-2", "run-3", "run-4", "run-5"]),
        ("stage=test,model=a", ["run-1"]),
        ("stage=test,model!=a", ["run-2"]),
        ("stage,stage!=test", ["run-3"]),
        ("stage=test,stage=live", []),
        ("stage=test,owner", []),
        ("model,stage=live,model!=b", ["run-3"]),
        ("x!y=z", ["run-4"]),
        ("x==z", ["run-4"]),
        ("x!==z", ["run-1", "run-2", "run-3", "run-5"]),
        (f"{encoded(SPECIAL)}", ["run-3"]),
        (f"{encoded(SPECIAL)}={encoded(SPECIAL)}", ["run-3"]),
        (f"stage,{encoded(SPECIAL)}!={encoded(SPECIAL)}", ["run-1", "run-2"]),
        (",".join(["stage=test"] * 100), ["run-1", "run-2"]),
    ],
)
async def test_a_resource_is_found_when_all_filters_hold(
    client: Client, filters: str, expected: list[str]
) -> None:
    await create_runs(client)
    assert await found(client, tagFilters=filters) == expected


async def test_filters_and_ids_must_both_hold(client: Client) -> None:
    await create_runs(client)
    listed = "run-1,run-3,run-5"
    assert await found(client, executionIds=listed, tagFilters="model=a") == ["run-1", "run-3"]
    assert await found(client, executionIds=listed, tagFilters="model=b") == []
    expression = "executionId eq 'run-2'"
    assert await found(client, filter=expression, tagFilters="stage=test") == ["run-2"]


async def test_filters_work_with_select(client: Client) -> None:
    await create_runs(client)
    answer = await client.query(tagFilters="owner", select="metrics")
    (resource,) = answer.json["resources"]
    assert resource["metrics"] == []
    assert "tags" not in resource


async def test_a_filter_sees_a_tags_new_value_at_once_and_its_old_one_no_more(
    client: Client,
) -> None:
    await create_runs(client)
    tags = [{"name": "stage", "value": "live"}]
    await client.accepted({"executionId": "run-1", "tags": tags})
    assert await found(client, tagFilters="stage=live") == ["run-1", "run-3"]
    assert await found(client, tagFilters="stage=test") == ["run-2"]


async def test_what_was_deleted_is_found_by_no_filter(client: Client) -> None:
    await create_runs(client)
    assert (await client.delete("run-1")).status == 200
    assert await found(client, tagFilters="stage=test") == ["run-2"]
    await client.accepted({"executionId": "run-1"})
    assert await found(client, tagFilters="stage=test") == ["run-2"]
    assert await found(client, tagFilters="stage!=test") == ["run-1", "run-3", "run-4", "run-5"]


@pytest.mark.parametrize(
    "filters",
    [
        "",
        ",",
        "stage=test,",
        ",stage=test",
        "=test",
        "!=test",
        "stage=",
        "stage!=",
        "stage=%FF",
        "%C3%28",
        ",".join(["a"] * 101),
        "a" * 5001,
        ",".join(["a" * 50] * 99),
    ],
    ids=lambda filters: filters[:40],
)
async def test_wrong_filters_are_refused(client: Client, filters: str) -> None:
    answer = await client.query(tagFilters=filters)
    assert (answer.status, answer.error["code"]) == (400, "02011003")
    assert answer.details.startswith("tagFilters: ")


async def test_the_longest_filters_are_accepted(client: Client) -> None:
    items = [{"name": f"n{number}", "value": "v"} for number in range(100)]
    await client.accepted({"executionId": "run-1", "tags": items})
    filters = ",".join(f"n{number}=v" for number in range(100))
    assert await found(client, tagFilters=filters) == ["run-1"]
    assert await found(client, tagFilters=filters + "!") == []
    longest = encoded("\N{ROCKET}" * 256) + "=" + encoded("%" * 256)
    assert len(longest) < 5000
    assert await found(client, tagFilters=longest) == []
    five_thousand = ",".join(["a" * 49] * 99) + "," + "b" * 50
    assert len(five_thousand) == 5000
    assert await found(client, tagFilters=five_thousand) == []


async def test_a_filter_on_the_wire_is_decoded_twice(gateway: Gateway) -> None:
    async with Client(gateway.url, resource_group="wire") as client:
        tag = {"name": "a,b", "value": "100%"}
        await client.accepted({"executionId": "twice", "tags": [tag]})
        assert (await client.resource("twice"))["tags"] == [tag]
    for target, status in (
        ("a%252Cb=100%2525", 200),
        ("a%252Cb%3D100%2525", 200),
        ("a%2Cb=100%25", 404),
    ):
        answer = exchange(gateway.port, request(f"GET {PATH}?tagFilters={target} HTTP/1.1"))
        assert answer is not None
        assert answer.status == status, target
