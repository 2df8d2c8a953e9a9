"""DELETE: what is gone stays gone, and what comes after starts afresh."""

import asyncio

import pytest

from deploy.local.process import wait_for
from tests.harness.client import EXAMPLE, Client
from tests.harness.services import Site, start_all


async def test_a_deleted_resource_is_found_no_more(client: Client, execution_id: str) -> None:
    await client.accepted(EXAMPLE | {"executionId": execution_id})
    answer = await client.delete(execution_id)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(answer.json) == {"id", "message"}
    assert answer.json["id"] == execution_id
    assert isinstance(answer.json["message"], str)
    found = await client.query(executionIds=execution_id)
    assert (found.status, found.error["code"]) == (404, "02010055")


async def test_what_is_not_there_cannot_be_deleted(client: Client, execution_id: str) -> None:
    assert (await client.delete(execution_id)).error["code"] == "02010055"
    await client.accepted({"executionId": execution_id})
    assert (await client.delete(execution_id)).status == 200
    for _ in range(2):
        answer = await client.delete(execution_id)
        assert (answer.status, answer.error["code"]) == (404, "02010055")


@pytest.mark.parametrize("execution_id", ["", "abc", "a b c", "run/1", "x" * 65, "é" * 5, "a,b,c"])
async def test_a_wrong_execution_id_is_refused(client: Client, execution_id: str) -> None:
    answer = await client.delete(execution_id)
    assert (answer.status, answer.error["code"]) == (400, "02011003")
    assert "executionId" in answer.details


async def test_a_missing_execution_id_is_refused(client: Client) -> None:
    answer = await client.request("DELETE", params={"executionIds": "run-1"})
    assert (answer.status, answer.error["code"]) == (400, "02011003")
    assert "executionId: is missing" in answer.details


async def test_an_update_after_the_deletion_starts_afresh(
    client: Client, execution_id: str
) -> None:
    await client.accepted(EXAMPLE | {"executionId": execution_id})
    old = await client.resource(execution_id)
    assert (await client.delete(execution_id)).status == 200
    await client.accepted({"executionId": execution_id, "tags": [{"name": "new", "value": "1"}]})
    new = await client.resource(execution_id)
    assert new["createdAt"] > old["modifiedAt"]
    assert new["createdAt"] == new["modifiedAt"]
    assert (new["metrics"], new["customInfo"]) == ([], [])
    assert new["tags"] == [{"name": "new", "value": "1"}]
    await client.accepted(EXAMPLE | {"executionId": execution_id})
    again = await client.resource(execution_id)
    assert again["createdAt"] == new["createdAt"]
    assert again["metrics"] == EXAMPLE["metrics"]


async def test_the_same_update_after_the_deletion_brings_all_of_it_back(
    client: Client, execution_id: str
) -> None:
    body = EXAMPLE | {"executionId": execution_id}
    for _ in range(5):
        await client.accepted(body)
        resource = await client.resource(execution_id)
        assert {name: resource[name] for name in body} == body
        assert (await client.delete(execution_id)).status == 200
        assert (await client.query(executionIds=execution_id)).status == 404


async def test_only_the_named_resource_of_the_named_group_is_deleted(
    client: Client, other_group: Client
) -> None:
    neighbours = ["run-1", "run-10", "run-1.a", "run", "Run-1", "run-0", "run-2"]
    for execution_id in neighbours:
        await client.accepted(EXAMPLE | {"executionId": execution_id.ljust(4, "_")})
    await other_group.accepted(EXAMPLE | {"executionId": "run-1"})
    assert (await client.delete("run-1")).status == 200
    for execution_id in neighbours[1:]:
        resource = await client.resource(execution_id.ljust(4, "_"))
        assert resource["metrics"] == EXAMPLE["metrics"]
        assert resource["tags"] == EXAMPLE["tags"]
    assert (await other_group.resource("run-1"))["metrics"] == EXAMPLE["metrics"]
    assert (await client.query(executionIds="run-1")).status == 404


async def test_a_deletion_right_after_an_update_finds_it(client: Client) -> None:
    for number in range(50):
        await client.accepted(EXAMPLE | {"executionId": f"run-{number}"})
        assert (await client.delete(f"run-{number}")).status == 200
        assert (await client.query(executionIds=f"run-{number}")).status == 404


async def test_of_two_deletions_at_once_at_least_one_succeeds_and_none_fails(
    client: Client, execution_id: str
) -> None:
    for _ in range(10):
        await client.accepted(EXAMPLE | {"executionId": execution_id})
        answers = await asyncio.gather(*(client.delete(execution_id) for _ in range(5)))
        statuses = {answer.status for answer in answers}
        assert 200 in statuses
        assert statuses <= {200, 404}
        assert (await client.query(executionIds=execution_id)).status == 404


async def test_an_update_still_on_the_queue_does_not_come_back(site: Site) -> None:
    gateway, worker = site.gateway(INGEST_READ_WAIT_S="0.2"), site.worker()
    gateway.start()
    async with Client(gateway.url) as client:
        for body in (EXAMPLE, {"executionId": "bare"}, EXAMPLE | {"executionId": "kept"}):
            await client.accepted(body)
        for execution_id in (EXAMPLE["executionId"], "bare"):
            assert (await client.delete(execution_id)).status == 200
            assert (await client.query(executionIds=execution_id)).status == 404
        await client.accepted({"executionId": "bare", "tags": [{"name": "after", "value": "1"}]})

        await asyncio.to_thread(worker.start)
        assert await asyncio.to_thread(
            wait_for, lambda: worker.metric("worker_entries_applied_total") == 4, 10
        )
        assert (await client.query(executionIds=EXAMPLE["executionId"])).status == 404
        assert (await client.query(tagFilters="Artifact%20Group", select="tags")).json["count"] == 1
        assert (await client.resource("kept"))["metrics"] == EXAMPLE["metrics"]
        bare = await client.resource("bare")
        assert bare["tags"] == [{"name": "after", "value": "1"}]
        assert bare["createdAt"] == bare["modifiedAt"]

        await client.accepted({"executionId": EXAMPLE["executionId"]})
        again = await client.resource(EXAMPLE["executionId"])
        assert (again["metrics"], again["tags"], again["customInfo"]) == ([], [], [])
        assert again["createdAt"] == again["modifiedAt"]


async def test_what_is_accepted_while_a_deletion_waits_is_not_deleted(site: Site) -> None:
    gateway, worker = site.gateway(INGEST_READ_WAIT_S="20"), site.worker()
    gateway.start()
    async with Client(gateway.url) as client, asyncio.TaskGroup() as tasks:
        await client.accepted(EXAMPLE | {"executionId": "a-run"})
        deletion = tasks.create_task(client.delete("a-run"))
        is_waiting = lambda: gateway.metric("ingest_waiting_reads") == 1  # noqa: E731
        assert await asyncio.to_thread(wait_for, is_waiting, 10)
        later = {
            "metrics": [EXAMPLE["metrics"][0] | {"step": 3}],
            "tags": [{"name": "later", "value": "1"}],
            "customInfo": [{"name": "later", "value": "1"}],
        }
        await client.accepted({"executionId": "a-run", **later})
        await asyncio.to_thread(worker.start)  # it finds both on the queue, and applies them
        assert (await deletion).status == 200
        resource = await client.resource("a-run")
        assert {section: resource[section] for section in later} == later


async def test_a_deletion_that_finds_nothing_hides_what_another_gateway_accepted_before(
    site: Site,
) -> None:
    here, there, worker = site.gateway(), site.gateway(), site.worker()
    await start_all(here, there)
    async with Client(here.url) as client, Client(there.url) as other:
        await client.accepted(EXAMPLE | {"executionId": "a-run"})
        assert (await other.delete("a-run")).status == 404
        await asyncio.to_thread(worker.start)
        is_applied = lambda: worker.metric("worker_entries_applied_total") == 1  # noqa: E731
        assert await asyncio.to_thread(wait_for, is_applied, 10)
        for one in (client, other):
            assert (await one.query(executionIds="a-run")).status == 404
