"""GET of much: pages of resources, and a run with very many points."""

import asyncio
import random
from typing import Any

import pytest

from tests.harness.client import Client

WRONG_SIZES = ("0", "10001", "-1", "+1", "1.0", "1e3", "ten", "", " 1", "\uff11")
WRONG_STARTS = ("-1", "2147483648", "9" * 5000, "x", "", "0x1")
TAG = [{"name": "page", "value": "me"}]


async def create(client: Client, count: int) -> list[str]:
    """Create tagged resources in a random order; return their ids in the order of an answer."""
    ids = [f"run-{number:05}" for number in range(count)]
    mixed = random.Random(1).sample(ids, count)  # noqa: S311 - the same order every time
    await asyncio.gather(*(client.accepted({"executionId": one, "tags": TAG}) for one in mixed))
    return ids


async def page(client: Client, **parameters: str) -> list[str]:
    answer = await client.query(select="tags", **({"tagFilters": "page=me"} | parameters))
    assert answer.status == 200, answer.body
    assert answer.json["count"] == len(answer.json["resources"])
    return [resource["executionId"] for resource in answer.json["resources"]]


@pytest.mark.parametrize("filters", ["page=me", "page", "none!=x"])
async def test_pages_together_are_all_resources_each_once(client: Client, filters: str) -> None:
    ids = await create(client, 25)
    for size in (1, 7, 10, 25, 26):
        pages = [
            await page(client, top=str(size), skip=str(start), tagFilters=filters)
            for start in range(0, 25, size)
        ]
        assert all(len(one) == size for one in pages[:-1])
        assert [one for each in pages for one in each] == ids


async def test_a_page_beyond_the_last_is_empty(client: Client) -> None:
    await create(client, 3)
    assert await page(client, skip="3") == []
    assert await page(client, skip=str(2**31 - 1), top="10000") == []


async def test_pages_of_listed_ids_follow_the_same_order(client: Client) -> None:
    ids = await create(client, 10)
    listed = ",".join(reversed(ids))
    answer = await client.query(executionIds=listed, top="4", skip="2", select="tags")
    assert [one["executionId"] for one in answer.json["resources"]] == ids[2:6]


async def test_without_a_size_a_page_has_a_thousand_resources(client: Client) -> None:
    ids = await create(client, 1003)
    assert await page(client) == ids[:1000]
    assert await page(client, skip="1000") == ids[1000:]
    assert await page(client, top="10000") == ids


@pytest.mark.parametrize(
    "wrong",
    [{"top": value} for value in WRONG_SIZES] + [{"skip": value} for value in WRONG_STARTS],
    ids=lambda wrong: str(wrong)[:30],
)
async def test_a_wrong_page_is_refused(client: Client, wrong: dict[str, str]) -> None:
    answer = await client.query(executionIds="run-1", **wrong)
    assert (answer.status, answer.error["code"]) == (400, "02011003")
    (name,) = wrong
    assert answer.details.startswith(f"${name}: ")
    assert len(answer.body) < 1000


async def test_a_run_of_20000_points_comes_back_whole_and_in_order(
    client: Client, execution_id: str
) -> None:
    def metric(number: int) -> dict[str, Any]:
        return {
            "name": f"m{number % 4}",
            "value": number,
            "step": number // 4,
            "timestamp": f"2026-01-01T00:{number // 4 // 60 % 60:02}:{number // 4 % 60:02}.000Z",
        }

    mixed = random.Random(2).sample(range(20_000), 20_000)  # noqa: S311 - the same every time
    await asyncio.gather(
        *(
            client.accepted(
                {
                    "executionId": execution_id,
                    "metrics": [metric(number) for number in mixed[start : start + 100]],
                }
            )
            for start in range(0, 20_000, 100)
        )
    )
    answer = await client.query(executionIds=execution_id)
    assert answer.status == 200
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["X-Request-ID"]
    (resource,) = answer.json["resources"]
    complete = resource["metrics"] == [metric(number) for number in range(20_000)]
    assert complete  # compared apart: pytest would explain a difference for minutes


async def test_several_large_runs_come_back_in_one_answer(client: Client) -> None:
    for execution_id in ("run-1", "run-2", "run-3"):
        metrics = [{"name": execution_id, "value": step, "step": step} for step in range(1000)]
        await client.accepted({"executionId": execution_id, "metrics": metrics, "tags": TAG})
    for query in ({"executionIds": "run-1,run-2,run-3"}, {"tagFilters": "page"}):
        answer = await client.query(**query)
        assert answer.json["count"] == 3
        for resource in answer.json["resources"]:
            metrics = resource["metrics"]
            assert [metric["value"] for metric in metrics] == list(range(1000))
            assert {metric["name"] for metric in metrics} == {resource["executionId"]}
