"""PATCH: the largest updates that are valid, in one message and in several."""

import io
import json
from typing import Any

from tests.api.conftest import LONG_VALUE_CHARS
from tests.harness.client import Client
from tests.harness.services import Gateway


def items(count: int, prefix: str, value_chars: int = 256) -> list[dict[str, str]]:
    """Make name/value pairs whose names and values are as long as may be."""
    return [
        {"name": f"{prefix}{number:03}".ljust(256, "n"), "value": f"{number}".ljust(value_chars)}
        for number in range(count)
    ]


def largest(execution_id: str, metrics: int, labels: int, value_chars: int) -> dict[str, Any]:
    """Make an update as large as the limits allow, its metrics in the order of an answer."""
    return {
        "executionId": execution_id,
        "metrics": [
            {
                "name": f"metric {number:03}".ljust(256, "m"),
                "value": number + 0.5,
                "timestamp": "2026-01-01T00:00:00.123456789Z",
                "step": number,
                "labels": items(labels, f"label {number:03} "),
            }
            for number in range(metrics)
        ],
        "tags": items(100, "tag "),
        "customInfo": items(100, "info ", value_chars),
    }


async def send(client: Client, body: dict[str, Any]) -> int:
    """Send an update that must be accepted; return its size."""
    encoded = json.dumps(body, separators=(",", ":")).encode()
    headers = {"AI-Resource-Group": "large", "Content-Type": "application/json"}
    answer = await client.request("PATCH", data=io.BytesIO(encoded), headers=headers)
    assert answer.status == 204, answer.body[:1000]
    return len(encoded)


async def read_back(gateway: Gateway, sent: dict[str, Any]) -> None:
    """Check that all that was sent comes back."""
    async with Client(gateway.url, resource_group="large") as client:
        resource = await client.resource(sent["executionId"])
    for section, value in sent.items():
        # Compared apart: pytest would explain a difference of megabytes for minutes.
        same = resource[section] == value
        assert same, f"{section} did not come back as sent"


async def test_the_largest_valid_update_is_accepted_and_comes_back_whole(
    gateway: Gateway, client: Client, execution_id: str
) -> None:
    body = largest(execution_id, 1000, 20, 256)
    assert await send(client, body) > 10 * 1024 * 1024
    await read_back(gateway, body)


async def test_with_a_full_custom_info_it_is_accepted_too(
    roomy: Gateway, execution_id: str
) -> None:
    body = largest(execution_id, 1000, 20, LONG_VALUE_CHARS)
    async with Client(roomy.url) as client:
        assert await send(client, body) > 15.5 * 1024 * 1024
    await read_back(roomy, body)


async def test_an_update_beyond_one_message_is_split_and_comes_back_whole(
    splitting: Gateway, execution_id: str
) -> None:
    body = largest(execution_id, 400, 20, 256)
    before = splitting.metric("ingest_group_entries_sum")
    async with Client(splitting.url) as client:
        assert await send(client, body) > 4 * 1024 * 1024
    assert splitting.metric("ingest_group_entries_sum") - before >= 5
    assert splitting.metric("ingest_updates_accepted_total") == 1
    await read_back(splitting, body)


async def test_an_update_that_is_split_means_what_it_would_mean_in_one_piece(
    splitting: Gateway, execution_id: str
) -> None:
    body = largest(execution_id, 300, 20, 256)
    first, last = body["metrics"][0], body["metrics"][-1]
    for absent in body["metrics"][100:200]:
        del absent["timestamp"]
    early = [first | {"value": -1}, last | {"value": -2, "timestamp": "2026-01-01T00:00:00Z"}]
    repeated = body | {
        "metrics": [*early, *body["metrics"]],
        "tags": [*body["tags"][:99], body["tags"][0] | {"value": "stands"}],
    }
    async with Client(splitting.url, resource_group="large") as client:
        await send(client, repeated)
        resource = await client.resource(execution_id)
        assert len(resource["metrics"]) == 301
        assert [point["value"] for point in resource["metrics"][:2]] == [0.5, 1.5]
        assert [point["value"] for point in resource["metrics"][-2:]] == [-2, 299.5]
        tags = {tag["name"]: tag["value"] for tag in resource["tags"]}
        assert len(tags) == 99
        assert tags[body["tags"][0]["name"]] == "stands"
        received = {point["timestamp"] for point in resource["metrics"][100:200]}
        assert received == {resource["createdAt"]}
