"""A split update: its parts together mean the same as the whole."""

from copy import deepcopy

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.merge import Values, merge_values, values_of
from ingest.contract.parse import UpdateParser
from ingest.contract.points import PointMerger, run_of
from ingest.contract.split import split_resource
from tests.contract.strategies import FIRST_SEQUENCE, RESOURCES, Json, Update, repeated, updates

SECTIONS = ("tags", "customInfo", "metrics")
PARSER = UpdateParser()


def effect(resources: list[Json], sequence: int) -> tuple[dict[str, Values], list[Json]]:
    """Return what updates of one sequence do together."""
    values: dict[str, Values] = {"tags": {}, "customInfo": {}}
    merger = PointMerger()
    for resource in resources:
        merger.add(sequence, run_of(sequence, deepcopy(resource.get("metrics", []))).points)
        for section, into in values.items():
            merge_values(into, values_of(sequence, resource.get(section, ())))
    return values, list(merger.take(None))


def framing(part: Json) -> int:
    """Return the bytes of a part that are neither items nor commas between them."""
    empty: Json = {"executionId": part["executionId"]}
    return len(orjson.dumps({**empty, **{name: [] for name in SECTIONS if name in part}}))


def item_count(part: Json) -> int:
    return sum(len(part.get(section, ())) for section in SECTIONS)


@given(st.data(), st.one_of(RESOURCES, updates(max_size=1).map(lambda one: one[0].resource)))
def test_parts_in_any_order_and_repetition_mean_the_same_as_the_whole(
    data: st.DataObject, resource: Json
) -> None:
    whole = effect([resource], FIRST_SEQUENCE)
    max_bytes = data.draw(st.integers(1, 2000))
    parts = split_resource(deepcopy(resource), FIRST_SEQUENCE, max_bytes)
    order = data.draw(repeated([orjson.loads(part) for part in parts]))
    assert effect(order, FIRST_SEQUENCE) == whole


@given(RESOURCES, st.integers(1, 2000))
def test_every_part_is_a_valid_update_within_the_limit_or_has_one_item(
    resource: Json, max_bytes: int
) -> None:
    for body in split_resource(resource, FIRST_SEQUENCE, max_bytes):
        part = PARSER.parse(body)
        assert len(body) - framing(part) <= max_bytes or item_count(part) == 1


@given(updates(max_size=1), st.integers(1, 300))
def test_duplicates_are_settled_before_the_update_is_cut(
    items: list[Update], max_bytes: int
) -> None:
    resource = items[0].resource
    parts = [orjson.loads(one) for one in split_resource(resource, FIRST_SEQUENCE, max_bytes)]
    for section in ("tags", "customInfo"):
        names = [item["name"] for part in parts for item in part.get(section, ())]
        assert len(names) == len(set(names))
    points = [point for part in parts for point in part.get("metrics", ())]
    assert len(points) == len(effect([resource], FIRST_SEQUENCE)[1])


def test_an_update_that_fits_stays_whole() -> None:
    resource = {"executionId": "abcd", "tags": [{"name": "a", "value": "b"}]}
    assert split_resource(dict(resource), 1, 1000) == [orjson.dumps(resource)]


def test_an_update_without_items_is_one_part() -> None:
    assert split_resource({"executionId": "abcd"}, 1, 1) == [b'{"executionId":"abcd"}']


def test_an_update_is_not_cut_into_more_parts_than_it_needs() -> None:
    tags = [{"name": f"{number:03}", "value": "x" * 75} for number in range(100)]
    parts = split_resource({"executionId": "abcd", "tags": tags}, 1, 1010)
    assert [item_count(orjson.loads(part)) for part in parts] == [10] * 10


def test_every_part_tells_the_same_time_of_receipt() -> None:
    metrics = [{"name": f"m{number}", "value": 1} for number in range(9)]
    parts = split_resource({"executionId": "abcd", "metrics": metrics}, FIRST_SEQUENCE, 1)
    timestamps = {orjson.loads(part)["metrics"][0]["timestamp"] for part in parts}
    assert len(parts) == 9
    assert timestamps == {"2023-11-14T22:13:20.000Z"}
