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
class _Section:
    title: str
    figures: dict[str, Figure] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


class Report:
    """What a run has found so far, section by section."""

    def __init__(self, machine: dict[str, Any]) -> None:
        """Begin a report of figures that are measured on a machine: see `machine.describe`."""
        self.machine = machine
        self._sections: dict[str, _Section] = {}
        self._current = _Section("")

    def begin(self, name: str, title: str) -> None:
        """Begin a section; the keys of its figures begin with its name and a dot."""
        self._current = self._sections[name] = _Section(title)

    def add(self, key: str, what: str, unit: str, rounds: Sequence[float]) -> None:
        """Add a figure to the section."""
        self._current.figures[key] = Figure(key, what, unit, tuple(rounds))

    def compare(self, key: str, what: str, one: Sequence[float], other: Sequence[float]) -> None:
        """Add the ratio of two figures, round by round."""
        self.add(key, what, "ratio", ratios(one, other))

    def remark(self, text: str) -> None:
        """Note what a reader of the section's figures must know."""
        self._current.remarks.append(text)

    def remark_on_missing(self, name: str) -> None:
        """Note which targets of a section have no figure."""
        for key in TARGETS:
            if key.startswith(f"{name}.") and key not in self._current.figures:
                self.remark(f"there is a target for {key}, but no figure")

    def write(self, file: Path) -> None:
        """Write the sections as JSON; sections of earlier runs stay in the file beside them."""
        sections = _sections_in(file)
        for name, section in self._sections.items():
            figures = {key: _described(figure) for key, figure in section.figures.items()}
            sections[name] = {
                "title": section.title,
                "machine": self.machine,
                "figures": figures,
                "remarks": section.remarks,
            }
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"sections": sections}, indent=2, ensure_ascii=False) + "\n"
        whole = file.with_suffix(".new")
        whole.write_text(text)
        whole.replace(file)

    def show(self, console: Console, seconds: float) -> None:
        """Print the table, and the remarks."""
        count = sum(len(section.figures) for section in self._sections.values())
        title = f"\n{count} figures in {seconds / 60:.1f} minutes"
        table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("what", overflow="fold")
        for column in ("figure", "unit", "spread", "to reach", "reached"):
            table.add_column(column, justify="left" if column == "unit" else "right")
        for section in self._sections.values():
            table.add_section()
            table.add_row(f"[bold]{section.title}[/bold]")
            for figure in section.figures.values():
                table.add_row(*_row(figure), style=_STYLES[figure.reached])
        console.print(table)
        for name, section in self._sections.items():
            for remark in section.remarks:
                console.print(f"- {name}: {remark}", markup=False, soft_wrap=True)


def _sections_in(file: Path) -> dict[str, Any]:
    """Read what an earlier run has left; of a file that is none of ours, nothing."""
    try:
        sections = json.loads(file.read_text())["sections"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    return sections if isinstance(sections, dict) else {}


def _described(figure: Figure) -> dict[str, Any]:
    return {
        "what": figure.what,
        "unit": figure.unit,
        "value": figure.value,
        "rounds": figure.rounds,
        "spread": spread(figure.rounds),
        "target": str(TARGETS[figure.key]) if figure.key in TARGETS else None,
        "reached": figure.reached,
    }


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
