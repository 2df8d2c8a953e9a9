"""What a sharded cluster would need: whatever concerns certain resources names their shards.

There is no router (mongos) to test with, so this watches the commands themselves: in the server's
profile, with every process that there is.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient

from ingest.contract.documents import CUSTOM_INFO, RESOURCES, SEGMENTS, SHARD_KEYS, TAGS
from ingest.contract.message import encode_message
from tests.compaction.bench import Bench
from tests.contract.strategies import MESSAGE_ID, Update, repeated, updates
from tests.harness.client import Client
from tests.harness.services import ROOT, Site, start_all
from worker.prepare import Unit, Writes, decode, prepare

KEY = "default/run-0"
_PROFILE_BYTES = 64 * 1024 * 1024
_SWEEP_DEADLINE_S = 60

# What must go to all shards, and does so in a search through a group or in a sweep: the collection,
# and the fields of the condition.
EVERYWHERE = {
    (RESOURCES, frozenset()),  # a sweep counts; and at its start each process looks at all four
    (TAGS, frozenset()),
    (CUSTOM_INFO, frozenset()),
    (SEGMENTS, frozenset()),
    (RESOURCES, frozenset({"_id"})),  # by a range: all of a group
    (TAGS, frozenset({"resourceGroup", "name"})),
    (TAGS, frozenset({"resourceGroup", "name", "entry.value"})),
}


@pytest.fixture
def profiled(site: Site) -> Iterator[Site]:
    """A site whose database writes down every command."""
    with MongoClient[dict[str, Any]](site.database_url) as client:
        database = client[site.database_name]
        database.create_collection("system.profile", capped=True, size=_PROFILE_BYTES)
        database.command("profile", 2)
        yield site
        database.command("profile", 0)


def read_profile(site: Site) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Return (process, operation, collection, condition) of all that was asked or changed."""
    found = []
    with MongoClient[dict[str, Any]](site.database_url) as client:
        for entry in client[site.database_name]["system.profile"].find():
            collection = entry["ns"].partition(".")[2]
            operation = entry["op"]
            if collection not in SHARD_KEYS or operation in {"insert", "getmore"}:
                continue  # documents are looked at below; and a getmore follows its query
            command = entry["command"]
            assert "$truncated" not in command
            if operation == "command":
                operation = next(iter(command))
                if operation in {"create", "createIndexes", "listIndexes", "collStats"}:
                    continue
            found.append((entry.get("appName", ""), operation, collection, condition_of(command)))
    return found


def condition_of(command: dict[str, Any]) -> dict[str, Any]:
    """Return what a command says of the documents it is about."""
    for name in ("q", "filter", "query"):
        if name in command:
            condition: dict[str, Any] = command[name]
            return condition
    if "pipeline" in command:
        first: dict[str, Any] = command["pipeline"][0].get("$match", {})
        return first
    assert "find" in command, command  # without a filter
    return {}


def is_targeted(collection: str, condition: dict[str, Any]) -> bool:
    """Tell whether a router would ask the shards of certain resources only."""
    value = condition.get(SHARD_KEYS[collection])
    return isinstance(value, str) or (isinstance(value, dict) and set(value) == {"$in"})


async def use_everything(site: Site) -> None:
    """Have each operation of gateway, worker and compaction done at least once."""
    gateway, worker = site.gateway(), site.worker()
    await start_all(gateway, worker)
    async with Client(gateway.url) as client:
        for number in range(30):
            await client.accepted(
                {
                    "executionId": f"run-{number % 3}",
                    "metrics": [{"name": "loss", "value": number, "step": number}],
                    "tags": [{"name": "stage", "value": "test"}],
                    "customInfo": [{"name": "note", "value": str(number)}],
                }
            )
        assert len((await client.resource("run-0"))["metrics"]) == 10
        answer = await client.query(executionIds="run-0,run-1", tagFilters="stage=test")
        assert answer.json["count"] == 2
        for filters in ("stage", "stage=test", "stage!=other"):
            assert (await client.query(tagFilters=filters)).json["count"] == 3
        async with Bench.open(site.database_url, site.database_name) as bench:
            assert await bench.compact(KEY) > 0
            # A deletion that a segment lies astride of: it takes a look into it.
            assert (segment := await bench.database[SEGMENTS].find_one({"resource": KEY}))
            assert await bench.gateway.delete(KEY, segment["firstSequence"])
        assert len((await client.resource("run-0"))["metrics"]) == 9
        assert (await client.delete("run-1")).status == 200
        await client.accepted({"executionId": "run-1", "tags": [{"name": "stage", "value": "2"}]})
        assert (await client.resource("run-1"))["createdAt"]
    await asyncio.to_thread(sweep, site)


def sweep(site: Site) -> None:
    environment = {**site.environment, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "worker", "compact", "--resource-group", "default"]
    done = subprocess.run(
        command, env=environment, check=False, capture_output=True, timeout=_SWEEP_DEADLINE_S
    )
    assert done.returncode == 0, done.stderr


async def test_whatever_is_about_certain_resources_names_the_shard_key(profiled: Site) -> None:
    await use_everything(profiled)
    asked = read_profile(profiled)
    assert {process for process, *_ in asked} >= {"ingest", "worker", "compact", "test"}
    targeted = set()
    for process, operation, collection, condition in asked:
        if is_targeted(collection, condition):
            targeted.add((operation, collection))
        else:
            everywhere = (collection, frozenset(condition))
            assert everywhere in EVERYWHERE, (process, operation, collection, condition)
            # Nothing is written, deleted or changed that way.
            assert operation in {"query", "aggregate"}, (process, operation, condition)
    assert targeted >= {
        ("query", RESOURCES), ("update", RESOURCES), ("findAndModify", RESOURCES),
        ("query", TAGS), ("update", TAGS), ("remove", TAGS),
        ("query", CUSTOM_INFO), ("update", CUSTOM_INFO), ("remove", CUSTOM_INFO),
        ("query", SEGMENTS), ("remove", SEGMENTS),
    }  # fmt: skip
    with MongoClient[dict[str, Any]](profiled.database_url) as client:
        for collection, field in SHARD_KEYS.items():
            stored = list(client[profiled.database_name][collection].find({}, [field]))
            assert stored
            assert all(isinstance(document.get(field), str) for document in stored)


def shard_keys(writes: Writes) -> Iterator[tuple[tuple[str, Any], Any]]:
    """Yield (collection, `_id`) and the shard key of all that a batch writes."""
    for collection, upserts in writes.upserts.items():
        for condition, _ in upserts:
            yield (collection, condition["_id"]), condition[SHARD_KEYS[collection]]
    for document in writes.segments + writes.last:
        yield (SEGMENTS, document["_id"]), document[SHARD_KEYS[SEGMENTS]]


def units_of(bodies: Iterable[bytes]) -> list[Unit]:
    return [unit for unit, _ in map(decode, bodies) if unit is not None]


@given(st.data(), updates())
def test_what_is_written_again_goes_to_the_same_shard(
    data: st.DataObject, items: list[Update]
) -> None:
    """So an `_id` that is unique on its shard is unique, and duplicates are found."""
    body = encode_message(MESSAGE_ID, [item.encode() for item in items])
    (unit,) = units_of([body])
    shard_of: dict[tuple[str, Any], Any] = {}
    for batch in ([unit], data.draw(repeated(unit.alone())), units_of([body])):
        for one in batch:
            for name, key in shard_keys(prepare([one])):
                assert shard_of.setdefault(name, key) == key
    assert {key for (_, _), key in shard_of.items()} == {item.key for item in items}


async def test_with_the_indexes_of_sharding_everything_works_as_before(site: Site) -> None:
    with MongoClient[dict[str, Any]](site.database_url) as client:
        for collection, field in SHARD_KEYS.items():
            client[site.database_name][collection].create_index([(field, "hashed")])
    await use_everything(site)
