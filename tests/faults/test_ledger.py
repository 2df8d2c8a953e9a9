"""The oracle itself: it must see what goes wrong."""

from collections.abc import Iterable

import pytest

from tests.harness.ledger import Item, Ledger, Outcome, items_of

LOSS = ("metrics", "loss")


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.record(
        "one", {(*LOSS, 1): 0.1, (*LOSS, 2): 0.2, ("tags", "t", 0): "v"}, Outcome.ACCEPTED
    )
    ledger.record("one", {(*LOSS, 3): 0.3, (*LOSS, 4): 0.4}, Outcome.UNANSWERED)
    ledger.record("two", {(*LOSS, 5): 0.5}, Outcome.REFUSED)
    return ledger


Found = list[tuple[Item, float | str]]


def found(steps: Iterable[int], *, tag: str | None = "v") -> Found:
    """What a GET that shows these steps, and this tag, would find."""
    metrics = [{"name": "loss", "step": step, "value": step / 10} for step in steps]
    tags = [] if tag is None else [{"name": "t", "value": tag}]
    return list(items_of({"metrics": metrics, "tags": tags}))


def test_an_accepted_update_suffices(ledger: Ledger) -> None:
    assert ledger.check({"one": found([1, 2])})


def test_unanswered_and_refused_updates_may_be_there_whole(ledger: Ledger) -> None:
    assert ledger.check({"one": found([1, 2, 3, 4]), "two": found([5], tag=None)})


@pytest.mark.parametrize(
    ("stored", "fault"),
    [
        ({}, "lost"),
        ({"one": found([1])}, "lost"),
        ({"one": found([1, 2], tag=None)}, "lost"),
        ({"one": found([1, 2, 2])}, "doubled"),
        ({"one": [*found([1, 2]), (("tags", "t", 0), "v")]}, "doubled"),
        ({"one": [*found([1]), ((*LOSS, 2), 0.3)]}, "altered"),
        ({"one": found([1, 2], tag="w")}, "altered"),
        ({"one": found([1, 2, 9])}, "invented"),
        ({"one": found([1, 2]), "three": found([1])}, "invented"),
        ({"one": found([1, 2, 3])}, "torn"),
    ],
)
def test_it_sees_each_fault(ledger: Ledger, stored: dict[str, Found], fault: str) -> None:
    verdict = ledger.check(stored)
    assert not verdict
    assert getattr(verdict, fault)
    assert fault in str(verdict)


def test_it_counts_how_requests_ended(ledger: Ledger) -> None:
    assert [ledger.count(outcome) for outcome in Outcome] == [1, 1, 1]
