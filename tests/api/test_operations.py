"""The operations port: health and figures, and nothing of clients."""

import asyncio
import json
from urllib.error import HTTPError
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import answers, choose_port
from deploy.local.process import wait_for
from tests.harness.client import Client
from tests.harness.services import READY_DEADLINE_S, Gateway, Site

EXPECTED = {
    "ingest_requests": "counter",
    "ingest_request_duration_seconds": "histogram",
    "ingest_updates_accepted": "counter",
    "ingest_confirm_duration_seconds": "histogram",
    "ingest_group_entries": "histogram",
    "ingest_publish_failures": "counter",
    "ingest_pending_bytes": "gauge",
    "ingest_messages_in_flight": "gauge",
    "ingest_broker_connected": "gauge",
    "ingest_read_wait_timeouts": "counter",
    "process_resident_memory_bytes": "gauge",
}


def test_livez_says_that_the_process_lives(gateway: Gateway) -> None:
    assert gateway.operations("/livez").strip() == "ok"


def test_readyz_says_that_nothing_is_missing(gateway: Gateway) -> None:
    assert json.loads(gateway.operations("/readyz")) == {"ready": True, "missing": []}


async def test_metrics_can_be_parsed_and_have_the_expected_names_and_types(
    gateway: Gateway, client: Client
) -> None:
    await client.accepted({"executionId": "counted"})
    text = await asyncio.to_thread(gateway.operations, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert EXPECTED.items() <= {name: one.type for name, one in families.items()}.items()
    assert all(family.documentation for family in families.values())


async def test_what_happens_is_counted(gateway: Gateway, client: Client) -> None:
    def counted() -> tuple[float, ...]:
        return (
            gateway.metric("ingest_updates_accepted_total"),
            gateway.metric("ingest_group_entries_sum"),
            gateway.metric("ingest_requests_total", method="PATCH", status="204"),
            gateway.metric("ingest_requests_total", method="PATCH", status="400"),
            gateway.metric("ingest_requests_total", method="GET", status="404"),
            gateway.metric("ingest_request_duration_seconds_count", method="DELETE"),
        )

    before = counted()
    for _ in range(3):
        await client.accepted({"executionId": "counted"})
    await client.patch(b"{")
    await client.query(executionIds="no-such-id")
    await client.delete("no-such-id")
    assert [new - old for new, old in zip(counted(), before, strict=True)] == [3, 3, 3, 1, 1, 1]
    assert gateway.metric("ingest_broker_connected") == 1
    assert gateway.metric("ingest_pending_bytes") == 0
    assert gateway.metric("ingest_messages_in_flight") == 0


async def test_nothing_that_a_client_sent_appears_in_the_metrics(gateway: Gateway) -> None:
    secret = uuid4().hex
    async with Client(gateway.url, resource_group=f"g{secret}") as client:
        await client.accepted({"executionId": secret, "tags": [{"name": secret, "value": secret}]})
        await client.query(executionIds=secret, tagFilters=secret)
        await client.patch(secret.encode(), **{"X-Request-ID": secret, "Content-Type": secret})
        await client.request(f"M{secret}")
        await client.request("GET", url=f"{gateway.url}/{secret}")
        await client.delete(secret)
    assert secret not in gateway.operations("/metrics").lower()


@pytest.mark.parametrize("path", ["/v2/lm/metrics?executionIds=counted", "/", "/metrics/x"])
def test_there_is_nothing_else_on_the_port(gateway: Gateway, path: str) -> None:
    with pytest.raises(HTTPError) as refused:
        gateway.operations(path)
    refused.value.close()
    assert refused.value.code == 404


async def test_requests_that_the_database_fails_are_counted(site: Site) -> None:
    gateway = site.gateway(MONGODB_URL=f"mongodb://127.0.0.1:{choose_port()}/?replicaSet=rs0")
    gateway.launch()
    assert await asyncio.to_thread(wait_for, lambda: answers(gateway.port), READY_DEADLINE_S)
    async with Client(gateway.url) as client:
        assert (await client.query(executionIds="some-run")).status == 503
    kind = "ServerSelectionTimeoutError"
    counted = await asyncio.to_thread(gateway.metric, "ingest_database_failures_total", kind=kind)
    assert counted == 1
