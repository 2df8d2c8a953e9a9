"""The ledger: what was sent, what was answered, and whether the store keeps the promise.

An update answered 204 must be there, once. One answered otherwise, or not at all, may be there
or not, but whole. Nothing may be there that was never sent.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

# What an update is made of, as the ledger knows it: (section, name, step or 0) within an
# execution, and its value.
Item = tuple[str, str, int]
Items = dict[Item, float | str]
Stored = Mapping[str, Iterable[tuple[Item, float | str]]]


class Outcome(Enum):
    """How a request ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Record:
    """One update and how it ended. No two records of an execution share an item."""

    items: Items
    outcome: Outcome


@dataclass(slots=True)
class Verdict:
    """What is wrong with the store, item by item; true if all is well."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Tell whether the promise was kept."""
        return not (self.lost or self.doubled or self.altered or self.invented or self.torn)

    def __str__(self) -> str:
        """Tell how much of each is wrong, with the first examples."""
        faults = {
            "lost": self.lost,
            "doubled": self.doubled,
            "altered": self.altered,
            "invented": self.invented,
            "torn": self.torn,
        }
        found = [
            f"{len(some)} {name}: {', '.join(some[:3])}" for name, some in faults.items() if some
        ]
        return "; ".join(found) or "all is well"


class Ledger:
    """Record updates as they are answered; compare with what is stored."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}
        self._outcomes: Counter[Outcome] = Counter()

    def record(self, execution_id: str, items: Items, outcome: Outcome) -> None:
        """Write down one update."""
        self.records.setdefault(execution_id, []).append(Record(items, outcome))
        self._outcomes[outcome] += 1

    def count(self, outcome: Outcome) -> int:
        """Count the updates that ended in one way."""
        return self._outcomes[outcome]

    def check(self, stored: Stored) -> Verdict:
        """Compare with all that is stored, by execution id."""
        verdict = Verdict()
        for execution_id in stored.keys() - self.records.keys():
            verdict.invented.append(execution_id)
        for execution_id, records in self.records.items():
            _check_execution(verdict, execution_id, records, list(stored.get(execution_id, ())))
        return verdict


def items_of(resource: Mapping[str, Any]) -> Iterator[tuple[Item, float | str]]:
    """Yield what a resource in the API's shape is made of; an item twice if it is there twice."""
    for metric in resource.get("metrics", ()):
        yield ("metrics", metric["name"], metric["step"]), metric["value"]
    for section in ("tags", "customInfo"):
        for named in resource.get(section, ()):
            yield (section, named["name"], 0), named["value"]


def _check_execution(
    verdict: Verdict,
    execution_id: str,
    records: list[Record],
    stored: list[tuple[Item, float | str]],
) -> None:
    found = dict(stored)
    sent: Items = {}
    for record in records:
        sent |= record.items
        present = record.items.keys() & found.keys()
        missing = record.items.keys() - present
        if record.outcome is Outcome.ACCEPTED:
            verdict.lost += [f"{execution_id} {item}" for item in missing]
        elif present and missing:
            verdict.torn.append(f"{execution_id} {min(record.items)}")
    times = Counter(item for item, _ in stored)
    verdict.doubled += [f"{execution_id} {item}" for item, n in times.items() if n > 1]
    verdict.invented += [f"{execution_id} {item}" for item in found.keys() - sent.keys()]
    verdict.altered += [
        f"{execution_id} {item}"
        for item, value in found.items()
        if item in sent and sent[item] != value
    ]
