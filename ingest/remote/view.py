"""An answer to a query as a person reads it: one table an execution, a row a metric."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from ingest.runtime.printable import printable, shortened

_MAX_VALUE_CHARS = 60


@dataclass(slots=True)
class _Course:
    """A metric's points in short: they come ordered by step and time."""

    first: float
    last: float
    least: float
    most: float
    step: int | None
    points: int = 0

    def add(self, point: Mapping[str, Any]) -> None:
        """Take the next point in."""
        self.points += 1
        self.last = point["value"]
        self.least = min(self.least, self.last)
        self.most = max(self.most, self.last)
        self.step = point.get("step", self.step)


def print_answer(answer: Mapping[str, Any]) -> None:
    """Print the answer to a query on stdout."""
    console = Console(markup=False, highlight=False, emoji=False)
    resources = answer["resources"]
    for resource in resources:
        console.print(printable(resource["executionId"]), style="bold")
        console.print(f"created {resource['createdAt']}, modified {resource['modifiedAt']}")
        for section, title in (("tags", "tags"), ("customInfo", "custom info")):
            if resource.get(section):
                named = ", ".join(_named(one) for one in resource[section])
                console.print(f"{title}: {named}")
        if resource.get("metrics"):
            console.print(_metrics(resource["metrics"]))
        console.print()
    found = len(resources)
    console.print(f"{found:,} execution{'' if found == 1 else 's'}; --json prints everything")


def _named(item: Mapping[str, str]) -> str:
    return f"{printable(item['name'])} = {printable(shortened(item['value'], _MAX_VALUE_CHARS))}"


def _metrics(points: Iterable[Mapping[str, Any]]) -> Table:
    courses: dict[str, _Course] = {}
    for point in points:
        name = _full_name(point)
        if name not in courses:
            value = point["value"]
            courses[name] = _Course(value, value, value, value, None)
        courses[name].add(point)
    table = Table("metric", "points", "last step", "first", "last", "least", "most")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in sorted(courses):
        one = courses[name]
        table.add_row(
            name, f"{one.points:,}", "" if one.step is None else f"{one.step:,}",
            *(f"{value:g}" for value in (one.first, one.last, one.least, one.most)),
        )  # fmt: skip
    return table


def _full_name(point: Mapping[str, Any]) -> str:
    """Return a metric's name with its labels."""
    labels = ", ".join(f"{one['name']}={one['value']}" for one in point.get("labels", ()))
    return printable(f"{point['name']} {{{labels}}}" if labels else str(point["name"]))
