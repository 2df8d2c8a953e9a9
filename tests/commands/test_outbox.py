"""Bodies that `send` makes of updates: within the limits, and of the same meaning."""

import random
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract.parse import UpdateParser
from ingest.remote.outbox import Body, Outbox
from ingest.remote.updates import Update

Stored = dict[tuple[Any, ...], Any]

_texts = st.sampled_from(["a", "b", "c"])
_named = st.lists(st.fixed_dictionaries({"name": _texts, "value": _texts}), max_size=60)
_points = st.lists(
    st.fixed_dictionaries(
        {"name": _texts, "value": st.integers(0, 9), "step": st.integers(0, 3)},
        optional={
            "timestamp": st.sampled_from([None, "2026-01-01T00:00:00Z"]),
            "labels": st.lists(
                st.fixed_dictionaries({"name": _texts, "value": _texts}), max_size=2
            ),
        },
    ),
    max_size=5,
)
_resources = st.fixed_dictionaries(
    {"executionId": st.sampled_from(["run-1", "run-2", "run-3"])},
    optional={
        "metrics": _points,
        "tags": _named,
        "customInfo": _named,
        "createdAt": st.just("2026-01-01T00:00:00Z"),
    },
)


def apply(stored: Stored, update: dict[str, Any], received: object) -> None:
    """Do what an update means, by the README: the later value of the same identity stands."""
    execution = update["executionId"]
    stored[execution, "exists"] = True
    for section in ("tags", "customInfo"):
        for one in update.get(section, ()):
            stored[execution, section, one["name"]] = one["value"]
    for one in update.get("metrics", ()):
        labels = frozenset((label["name"], label["value"]) for label in one.get("labels", ()))
        timestamp = one.get("timestamp") or received
        stored[execution, one["name"], labels, one["step"], timestamp] = one["value"]


def update_of(resource: Any, number: int = 1) -> Update:
    return Update(f"line {number}", orjson.loads(orjson.dumps(resource)), 1)


def drained(updates: list[Any], choices: random.Random) -> list[Body]:
    """Put updates in and take bodies out, in turns and with bodies under way as chance has it."""
    outbox = Outbox()
    waiting = [update_of(one, number) for number, one in enumerate(updates, 1)]
    waiting.reverse()
    under_way: list[Body] = []
    received: list[Body] = []
    while waiting or under_way or not outbox.is_empty():
        turn = choices.choice(["put", "take", "done"])
        if turn == "put" and waiting:
            outbox.put(waiting.pop())
        elif turn == "take" and (body := outbox.take()) is not None:
            under_way.append(body)
        elif turn == "done" and under_way:
            body = under_way.pop(choices.randrange(len(under_way)))
            received.append(body)
            outbox.done(body)
    assert outbox.waiting_bytes == 0
    return received


@given(st.lists(_resources, max_size=30), st.randoms(use_true_random=False))
def test_the_bodies_mean_what_the_updates_mean(
    updates: list[dict[str, Any]], choices: random.Random
) -> None:
    bodies = drained(updates, choices)
    sent: Stored = {}
    for body in bodies:
        apply(sent, orjson.loads(body.encode()), None)
    expected: Stored = {}
    for number, update in enumerate(updates):
        apply(expected, update, number)

    # Times of their own are as different as the updates, whatever they are.
    def known(stored: Stored) -> Counter[tuple[Any, ...]]:
        given = "2026-01-01T00:00:00Z"
        return Counter(
            (*key[:-1], key[-1] if key[-1] == given else "new", value) if len(key) == 5
            else (*key, value)
            for key, value in stored.items()
        )  # fmt: skip

    assert known(sent) == known(expected)


@given(st.lists(_resources, max_size=30), st.randoms(use_true_random=False))
def test_bodies_are_within_the_limits_of_the_gateway(
    updates: list[dict[str, Any]], choices: random.Random
) -> None:
    parser = UpdateParser()
    for body in drained(updates, choices):
        parser.parse(body.encode())


def take_all(outbox: Outbox) -> list[dict[str, Any]]:
    taken = []
    while (body := outbox.take()) is not None:
        taken.append(orjson.loads(body.encode()))
        outbox.done(body)
    return taken


def test_many_points_of_an_execution_become_full_bodies() -> None:
    outbox = Outbox()
    for step in range(2500):
        resource = {"executionId": "run", "metrics": [{"name": "a", "value": 1, "step": step}]}
        outbox.put(update_of(resource))
    bodies = take_all(outbox)
    assert [len(body["metrics"]) for body in bodies] == [1000, 1000, 500]
    assert [metric["step"] for body in bodies for metric in body["metrics"]] == list(range(2500))


def test_what_no_body_can_hold_is_sent_in_parts() -> None:
    tags = [{"name": f"tag {number}", "value": "v"} for number in range(150)]
    metrics = [{"name": "a", "value": number} for number in range(2100)]
    outbox = Outbox()
    resource = {"executionId": "run-1", "metrics": metrics, "tags": tags}
    assert outbox.put(update_of(resource)) == 3
    bodies = take_all(outbox)
    for body in bodies:
        UpdateParser().parse(orjson.dumps(body))
    assert [tag for body in bodies for tag in body.get("tags", [])] == tags
    assert [one["value"] for body in bodies for one in body["metrics"]] == list(range(2100))
    assert len({one["timestamp"] for body in bodies for one in body["metrics"]}) == 1


def test_a_valid_update_is_never_cut() -> None:
    outbox = Outbox()
    for number in range(3):
        metrics = [{"name": "a", "value": number, "step": step} for step in range(600)]
        outbox.put(update_of({"executionId": "run", "metrics": metrics}))
    assert [len(body["metrics"]) for body in take_all(outbox)] == [600, 600, 600]


@pytest.mark.parametrize(
    "resource",
    [
        7,
        [],
        {"executionId": 7},
        {"metrics": []},
        {"executionId": "run", "metrics": None},
        {"executionId": "run", "metrics": {}},
        {"executionId": "run", "typo": 1, "metrics": [{"name": "a"}, 7]},
    ],
)
def test_what_is_no_metric_resource_is_sent_alone_as_it_is(resource: Any) -> None:
    outbox = Outbox()
    for one in ({"executionId": "run"}, resource, {"executionId": "run"}):
        outbox.put(update_of(one))
    bodies = take_all(outbox)
    assert (
        len(bodies) == 3
        if isinstance(resource, dict) and resource.get("executionId") == "run"
        else 2
    )
    found = [body for body in bodies if body != {"executionId": "run"}]
    for metric in (resource.get("metrics") or []) if isinstance(resource, dict) else []:
        if isinstance(metric, dict):
            metric["timestamp"] = found[0]["metrics"][0]["timestamp"]
    assert found == [resource]


def test_one_body_of_an_execution_is_under_way_at_a_time() -> None:
    outbox = Outbox()
    for execution in ("run-1", "run-2"):
        outbox.put(update_of({"executionId": execution}))
    first, second = outbox.take(), outbox.take()
    assert first is not None
    assert second is not None
    outbox.put(update_of({"executionId": "run-1", "tags": []}))
    assert outbox.take() is None
    assert not outbox.is_empty()
    outbox.done(second)
    assert outbox.take() is None
    outbox.done(first)
    assert outbox.take() is not None
