"""Figures: kept as they are measured, printed as one table, written as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.arithmetic import ratios, spread
from tests.bench.targets import TARGETS

_FEW = 10
_SOME = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. With several rounds the median stands."""

    key: str
    what: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def value(self) -> float:
        """Return what stands in the table."""
        return median(self.rounds)

    @property
    def reached(self) -> bool | None:
        """Tell whether the target is reached; None without a target."""
        target = TARGETS.get(self.key)
        return None if target is None else target.reached(self.value)


@dataclass(slots=True)
class Report:
    """What a run has found so far."""

    machine: dict[str, Any]
    figures: dict[str, Figure] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    _titles: dict[str, str] = field(default_factory=dict)

    def begin(self, section: str, title: str) -> None:
        """Begin a section; the keys of its figures begin with its name and a dot."""
        self._titles[section] = title

    def add(self, key: str, what: str, unit: str, rounds: Sequence[float]) -> None:
        """Add a figure."""
        self.figures[key] = Figure(key, what, unit, tuple(rounds))

    def compare(self, key: str, what: str, one: Sequence[float], other: Sequence[float]) -> None:
        """Add the ratio of two figures, round by round."""
        self.add(key, what, "ratio", ratios(one, other))

    def remark(self, text: str) -> None:
        """Note what a reader of the figures must know."""
        self.remarks.append(text)

    def remark_on_missing(self, section: str) -> None:
        """Note which targets of a section that was measured have no figure."""
        for key in TARGETS:
            if key.startswith(f"{section}.") and key not in self.figures:
                self.remark(f"there is a target for {key}, but no figure")

    def write(self, file: Path) -> None:
        """Write everything as JSON."""
        figures = {
            figure.key: {
                "what": figure.what,
                "unit": figure.unit,
                "value": figure.value,
                "rounds": figure.rounds,
                "spread": spread(figure.rounds),
                "target": str(TARGETS[figure.key]) if figure.key in TARGETS else None,
                "reached": figure.reached,
            }
            for figure in self.figures.values()
        }
        whole = {"machine": self.machine, "figures": figures, "remarks": self.remarks}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")

    def show(self, console: Console, seconds: float) -> None:
        """Print the table."""
        title = f"\n{len(self.figures)} figures in {seconds / 60:.1f} minutes"
        table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("what", overflow="fold")
        for column in ("figure", "unit", "spread", "to reach", "reached"):
            table.add_column(column, justify="left" if column == "unit" else "right")
        section = ""
        for figure in self.figures.values():
            if (of := figure.key.partition(".")[0]) != section:
                section = of
                table.add_section()
                table.add_row(f"[bold]{self._titles.get(section, section)}[/bold]")
            table.add_row(*_row(figure), style=_STYLES[figure.reached])
        console.print(table)
        for remark in self.remarks:
            console.print(f"- {remark}", markup=False)


_STYLES = {True: "green", False: "red", None: ""}
_WORDS = {True: "yes", False: "no", None: ""}


def _row(figure: Figure) -> list[str]:
    several = len(figure.rounds) > 1
    target = TARGETS.get(figure.key)
    return [
        f"  {figure.what}",
        shown(figure.value),
        "" if figure.unit == "ratio" else figure.unit,
        f"±{50 * spread(figure.rounds):.0f} %" if several else "",
        "" if target is None else str(target),
        _WORDS[figure.reached],
    ]


def shown(value: float) -> str:
    """Write a figure with three digits or so."""
    if abs(value) >= _SOME:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= _FEW else f"{value:.2f}"
