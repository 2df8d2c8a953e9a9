"""Poison among good entries ends in the dead-letter queue; the good ones are stored."""

import asyncio
from typing import Any

import orjson
import pytest
from pymongo import MongoClient

from deploy.local.process import wait_for
from ingest.contract.message import decode_message, encode_entry, encode_message, new_message_id
from ingest.contract.topology import DEAD_LETTER_QUEUE
from tests.harness.client import Client
from tests.harness.services import Site
from tests.queue.broker_client import (
    channel_of,
    length,
    put,
    take_dead_letters,
    until_length,
)

SEQUENCE = 1_790_000_000_000_000_000


def entry(execution_id: str, sequence: int = SEQUENCE, **sections: Any) -> bytes:
    resource = orjson.dumps({"executionId": execution_id, **sections})
    return encode_entry(sequence, "a-request", "default", resource)


def message(*entries: bytes, number: int = 0) -> bytes:
    return encode_message(new_message_id(SEQUENCE + number, b"test"), list(entries))


@pytest.mark.parametrize(
    ("poison", "reason", "detail"),
    [
        (b"\xff\x00 no json", "undecodable", "not JSON"),
        (b'{"version":%b%b}' % (b"[" * 1000, b"]" * 1000), "undecodable", "no integer"),
        (b'{"version":2,"id":"00","entries":[]}', "undecodable", "unknown message version 2"),
        (message(b'{"sequence":1}'), "invalid-entry", "requestId"),
        (message(entry("poisoned", metrics=[{"name": "n", "value": 1, "timestamp": "x"}])),
         "invalid-entry", "not an RFC 3339 date-time"),
        (message(entry("poisoned", sequence=2**63)), "invalid-entry", "/sequence"),
        (message(entry("poisoned", metrics=[{"name": 5, "value": 1}])), "invalid-entry", "/name"),
        (message(entry("a/b", tags=[{"name": "c", "value": "d"}])), "invalid-entry", "executionId"),
        (message(entry("poisoned", tags=[{"name": "c", "value": 1}])), "invalid-entry", "/value"),
    ],
)  # fmt: skip
async def test_poison_is_dead_lettered_with_its_reason_and_neighbours_are_stored(
    site: Site, poison: bytes, reason: str, detail: str
) -> None:
    gateway, worker = site.gateway(), site.worker()
    gateway.start()
    async with channel_of(site) as channel, Client(gateway.url) as client:
        before = message(entry("good-one"), entry("good-two"), number=1)
        await put(channel, before, poison, message(entry("good-three"), number=2))
        worker.start()
        (letter,) = await take_dead_letters(channel, 1)
        assert letter.headers["reason"] == reason
        assert detail in str(letter.headers["detail"])
        await until_applied(worker_entries := 3, worker)
        assert worker.metric("worker_dead_letters_total", reason=reason) == 1
        for execution_id in ("good-one", "good-two", "good-three"):
            assert await client.resource(execution_id)
        assert await length(channel) == 0
        assert worker_entries == worker.metric("worker_entries_applied_total")


async def until_applied(count: int, worker: Any) -> None:
    def are_applied() -> bool:
        return bool(worker.metric("worker_entries_applied_total") >= count)

    assert await asyncio.to_thread(wait_for, are_applied, 20)


async def test_an_entry_that_the_database_refuses_does_not_take_its_message_along(
    site: Site,
) -> None:
    gateway, worker = site.gateway(), site.worker()
    gateway.start()
    with MongoClient[dict[str, Any]](site.database_url) as mongo:
        database = mongo[site.database_name]
        database.command("collMod", "tags", validator={"name": {"$ne": "forbidden"}})
    async with channel_of(site) as channel, Client(gateway.url) as client:
        tagged = [entry(f"good-{n}", tags=[{"name": "t", "value": "v"}]) for n in range(3)]
        refused = entry("bad-", tags=[{"name": "forbidden", "value": "v"}])
        await put(channel, message(*tagged[:2], refused, tagged[2]))
        worker.start()
        (letter,) = await take_dead_letters(channel, 1)
        assert letter.headers["reason"] == "refused"
        assert letter.headers["resourceGroup"] == "default"
        assert letter.headers["executionId"] == "bad-"
        assert len(decode_message(letter.body).entries) == 1
        for n in range(3):
            resource = await client.resource(f"good-{n}")
            assert resource["tags"] == [{"name": "t", "value": "v"}]


async def test_a_worker_that_would_dead_letter_everything_stops_itself(site: Site) -> None:
    worker = site.worker()
    async with channel_of(site) as channel:
        await put(channel, *[b'{"version":99}'] * 200)
        worker.launch()

        def has_stopped() -> bool:
            return any(line["message"] == "stopped working" for line in worker.logs())

        assert await asyncio.to_thread(wait_for, has_stopped, 20)
        # It stays, so that nobody restarts it and each restart dead-letters some more.
        assert not worker.is_ready()
        # What it last saw of the queues would be shown as long as it stays.
        metrics = worker.operations("/metrics")
        assert "worker_queue_messages{" not in metrics
        assert "worker_dead_letter_messages{" not in metrics
        dead = await length(channel, DEAD_LETTER_QUEUE)
        assert dead < 50  # some are tolerated whatever their share
        await until_length(channel, 200 - dead)
        worker.terminate()
        assert await asyncio.to_thread(worker.await_end) == 0


async def test_a_nested_body_hidden_under_a_duplicate_key_harms_nobody(site: Site) -> None:
    gateway, worker = site.gateway(), site.worker()
    gateway.start()
    worker.start()
    deep = b"[" * 1021 + b"]" * 1021
    hostile = b'{"executionId":"evil","createdAt":%b,"createdAt":"x"}' % deep
    async with Client(gateway.url) as client:
        answers = await asyncio.gather(
            *(client.patch(hostile) for _ in range(5)),
            *(client.patch({"executionId": f"good-{n}"}) for n in range(20)),
        )
        assert [answer.status for answer in answers] == [400] * 5 + [204] * 20
        for n in range(20):
            assert await client.resource(f"good-{n}")
        assert worker.metric("worker_dead_letters_total") == 0
