"""The ledger: what was sent, what was answered, and whether the store keeps the promise.

An update answered 204 must be there, once. One answered otherwise, or not at all, may be there
or not, but whole. Nothing may be there that was never sent.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

# A point as the ledger knows it: (metric name, step) within an execution, and its value.
Points = dict[tuple[str, int], float]


class Outcome(Enum):
    """How a request ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Record:
    """One update and how it ended. No two records of an execution share a point."""

    points: Points
    outcome: Outcome


@dataclass(slots=True)
class Verdict:
    """What is wrong with the store, point by point; empty if all is well."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Tell whether the promise was kept."""
        return not (self.lost or self.doubled or self.altered or self.invented or self.torn)


class Ledger:
    """Record updates as they are answered; compare with what is stored."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}

    def record(self, execution_id: str, points: Points, outcome: Outcome) -> None:
        """Write down one update."""
        self.records.setdefault(execution_id, []).append(Record(points, outcome))

    def count(self, outcome: Outcome) -> int:
        """Count the updates that ended in one way."""
        return sum(one.outcome is outcome for some in self.records.values() for one in some)

    def check(self, stored: Mapping[str, list[dict[str, Any]]]) -> Verdict:
        """Compare with the stored metrics, by execution id, in the API's own shape."""
        verdict = Verdict()
        for execution_id in stored.keys() - self.records.keys():
            verdict.invented.append(execution_id)
        for execution_id, records in self.records.items():
            _check_execution(verdict, execution_id, records, stored.get(execution_id, []))
        return verdict


def _check_execution(
    verdict: Verdict, execution_id: str, records: list[Record], metrics: list[dict[str, Any]]
) -> None:
    found = {(metric["name"], metric["step"]): metric["value"] for metric in metrics}
    times = Counter((metric["name"], metric["step"]) for metric in metrics)
    sent: Points = {}
    for record in records:
        sent |= record.points
        present = record.points.keys() & found.keys()
        missing = record.points.keys() - present
        if record.outcome is Outcome.ACCEPTED:
            verdict.lost += [f"{execution_id} {point}" for point in missing]
        elif present and missing:
            verdict.torn.append(f"{execution_id} {min(record.points)}")
    verdict.doubled += [f"{execution_id} {point}" for point, n in times.items() if n > 1]
    verdict.invented += [f"{execution_id} {point}" for point in found.keys() - sent.keys()]
    verdict.altered += [
        f"{execution_id} {point}"
        for point, value in found.items()
        if point in sent and sent[point] != value
    ]
