"""The oracle itself: it must see what goes wrong."""

from typing import Any

import pytest

from tests.harness.ledger import Ledger, Outcome


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.record("one", {("loss", 1): 0.1, ("loss", 2): 0.2}, Outcome.ACCEPTED)
    ledger.record("one", {("loss", 3): 0.3, ("loss", 4): 0.4}, Outcome.UNANSWERED)
    ledger.record("two", {("loss", 5): 0.5}, Outcome.REFUSED)
    return ledger


def metrics(**values: float) -> list[dict[str, Any]]:
    return [
        {"name": "loss", "step": int(step[1:]), "value": value} for step, value in values.items()
    ]


def test_an_accepted_update_suffices(ledger: Ledger) -> None:
    assert ledger.check({"one": metrics(s1=0.1, s2=0.2)})


def test_unanswered_and_refused_updates_may_be_there_whole(ledger: Ledger) -> None:
    assert ledger.check({"one": metrics(s1=0.1, s2=0.2, s3=0.3, s4=0.4), "two": metrics(s5=0.5)})


@pytest.mark.parametrize(
    ("stored", "fault"),
    [
        ({}, "lost"),
        ({"one": metrics(s1=0.1)}, "lost"),
        ({"one": metrics(s1=0.1, s2=0.2) + metrics(s2=0.2)}, "doubled"),
        ({"one": metrics(s1=0.1, s2=0.3)}, "altered"),
        ({"one": metrics(s1=0.1, s2=0.2, s9=0.9)}, "invented"),
        ({"one": metrics(s1=0.1, s2=0.2), "three": metrics(s1=0.1)}, "invented"),
        ({"one": metrics(s1=0.1, s2=0.2, s3=0.3)}, "torn"),
    ],
)
def test_it_sees_each_fault(
    ledger: Ledger, stored: dict[str, list[dict[str, Any]]], fault: str
) -> None:
    verdict = ledger.check(stored)
    assert not verdict
    assert getattr(verdict, fault)
