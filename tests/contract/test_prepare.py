"""The joint effect of messages: the same in any order, grouping and repetition."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract import documents
from ingest.contract.documents import RESOURCES, resource_upsert, segment_id, segment_runs
from ingest.contract.message import encode_message
from ingest.contract.points import run_of
from tests.contract.strategies import (
    MESSAGE_ID,
    Json,
    Update,
    grouped,
    messages,
    repeated,
    updates,
)
from worker.prepare import Unit, decode, prepare

State = dict[str, dict[str, Json]]


class FakeDatabase:
    """What MongoDB would hold: $min, $max, $setOnInsert, and inserts that happen once."""

    def __init__(self) -> None:
        self.upserted: State = {}
        self.segments: dict[bytes, Json] = {}

    def apply(self, units: list[Unit]) -> None:
        writes = prepare(units)
        created = [resource_upsert(*one) for one in writes.created.items()]
        for collection, upserts in [(RESOURCES, created), *writes.upserts.items()]:
            for condition, update in upserts:
                self._upsert(self.upserted.setdefault(collection, {}), condition, update)
        for document in writes.segments + writes.last:
            known = self.segments.setdefault(document["_id"], document)
            assert known == document, "one segment id, two contents"

    def _upsert(self, stored: dict[str, Json], condition: Json, update: Json) -> None:
        assert set(update) <= {"$min", "$max", "$setOnInsert"}
        document = stored.get(condition["_id"])
        if document is None:
            document = stored[condition["_id"]] = {**condition, **update.get("$setOnInsert", {})}
        for name, value in update.get("$min", {}).items():
            document[name] = min(document.get(name, value), value)
        for name, value in update.get("$max", {}).items():
            document[name] = max(document.get(name, value), value, key=_comparable)


def _comparable(value: Any) -> Any:
    """Compare sub-documents as MongoDB does: field by field, in their order."""
    return list(value.items()) if isinstance(value, dict) else value


def upserted_by_model(items: list[Update]) -> State:
    state: State = {}
    for update in sorted(items, key=lambda one: one.sequence):
        state.setdefault(RESOURCES, {}).setdefault(
            update.key, {"_id": update.key, "createdAt": update.sequence}
        )
        for section, collection in (("tags", "tags"), ("customInfo", "custom_info")):
            for item in update.resource.get(section, ()):
                value_id = f"{update.key}/{item['name']}"
                state.setdefault(collection, {})[value_id] = {
                    "_id": value_id,
                    "resource": update.key,
                    "resourceGroup": update.resource_group,
                    "name": item["name"],
                    "entry": {"sequence": update.sequence, "value": item["value"]},
                }
    return state


def unit_of(body: bytes) -> Unit:
    unit, dead_letters = decode(body)
    assert dead_letters == []
    assert unit is not None
    return unit


def runs_by_model(items: list[Update]) -> list[tuple[str, int, list[Json]]]:
    runs = []
    for update in items:
        metrics = [dict(metric) for metric in update.resource.get("metrics", ())]
        run = run_of(update.sequence, metrics)
        runs.append((update.key, update.sequence, run.points))
    return sorted(runs, key=lambda run: run[:2])


def stored_runs(segments: list[Json]) -> list[tuple[str, int, list[Json]]]:
    runs = [
        (segment["resource"], sequence, points)
        for segment in segments
        for sequence, points in segment_runs(segment)
    ]
    return sorted(runs, key=lambda run: run[:2])


@given(st.data(), updates())
def test_order_repetition_and_grouping_of_updates_dont_matter(
    data: st.DataObject, items: list[Update]
) -> None:
    deliveries = data.draw(repeated(data.draw(messages(items))))
    database = FakeDatabase()
    for batch in data.draw(grouped(deliveries)):
        database.apply([unit_of(body) for body in batch])

    written = {name: stored for name, stored in database.upserted.items() if stored}
    assert written == upserted_by_model(items)
    assert stored_runs(list(database.segments.values())) == runs_by_model(items)


@given(st.data(), updates())
def test_a_message_applied_entry_by_entry_has_the_same_effect(
    data: st.DataObject, items: list[Update]
) -> None:
    whole, alone = FakeDatabase(), FakeDatabase()
    unit = unit_of(encode_message(MESSAGE_ID, [item.encode() for item in items]))
    whole.apply([unit])
    for one in data.draw(repeated(unit.alone())):
        alone.apply([one])
    assert alone.upserted == whole.upserted
    assert stored_runs(list(alone.segments.values())) == runs_by_model(items)
    assert not set(alone.segments) & set(whole.segments)


@given(updates())
def test_every_resource_of_a_message_is_announced_by_the_segment_of_its_ordinal(
    items: list[Update],
) -> None:
    unit = unit_of(encode_message(MESSAGE_ID, [item.encode() for item in items]))
    last = {document["_id"]: document["resource"] for document in prepare([unit]).last}
    first = {item.key: number for number, item in reversed(list(enumerate(items)))}
    assert last == {segment_id(MESSAGE_ID, number): key for key, number in first.items()}


@given(updates())
def test_of_segments_that_were_cut_only_the_first_is_written_last(items: list[Update]) -> None:
    unit = unit_of(encode_message(MESSAGE_ID, [item.encode() for item in items]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "SEGMENT_MAX_POINTS", 3)
        writes = prepare([unit])
    assert stored_runs(writes.segments + writes.last) == runs_by_model(items)
    assert {one["_id"][-2:] for one in writes.last} == {b"\0\0"}
    assert b"\0\0" not in {one["_id"][-2:] for one in writes.segments}


def test_a_batch_has_one_upsert_per_name_however_many_entries() -> None:
    tags = [{"name": "a", "value": "1"}]
    items = [Update(n, "default", {"executionId": "abcd", "tags": tags}) for n in range(1, 50)]
    units = [unit_of(encode_message(bytes([n]) * 12, [items[n].encode()])) for n in range(49)]
    writes = prepare(units)
    lengths = {name: len(upserts) for name, upserts in writes.upserts.items()}
    assert lengths == {"tags": 1, "custom_info": 0}
    assert writes.created == {"default/abcd": 1}
    assert len(writes.last) == 49


def test_a_message_without_entries_writes_nothing() -> None:
    writes = prepare([unit_of(encode_message(MESSAGE_ID, []))])
    assert (writes.segments, writes.last, writes.created) == ([], [], {})
    assert not any(writes.upserts.values())
