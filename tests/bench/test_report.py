"""What becomes of figures: the table, the targets, the file."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench.report import Report, shown
from tests.bench.targets import TARGETS

_TARGET = "gateway.1.of-validating"
_BOUNDED = "memory.gateway-200-kb"


def _report(rounds: list[float], machine: str = "one") -> Report:
    report = Report({"cpu": machine})
    report.begin("gateway", "Gateway")
    report.compare(_TARGET, "gateway ÷ validating", rounds, [1.0] * len(rounds))
    return report


def _printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=120)
    report.show(console, 60)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_median_of_the_rounds_decides_whether_a_target_is_reached() -> None:
    assert TARGETS[_TARGET].bound == 0.75
    (row,) = [line for line in _printed(_report([0.7, 0.8, 0.86])).splitlines() if "÷" in line]
    assert row.split()[-5:] == ["±10", "%", "≥", "0.75", "yes"]
    (row,) = [line for line in _printed(_report([0.7, 0.74, 0.9])).splitlines() if "÷" in line]
    assert row.split()[-1] == "no"


def test_what_may_be_at_most_is_reached_from_below() -> None:
    assert TARGETS[_BOUNDED].reached(200)
    assert not TARGETS[_BOUNDED].reached(201)


def test_the_file_keeps_the_sections_that_were_not_measured_again(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "bench.json"
    _report([0.5]).write(file)
    other = Report({"cpu": "two"})
    other.begin("memory", "Memory")
    other.add(_BOUNDED, "gateway", "MB", [100.0, 150.0])
    other.remark("measured by candlelight")
    other.write(file)
    sections = json.loads(file.read_text())["sections"]
    assert sections["gateway"]["machine"] == {"cpu": "one"}
    assert sections["gateway"]["figures"][_TARGET]["reached"] is False
    assert sections["memory"]["machine"] == {"cpu": "two"}
    assert sections["memory"]["remarks"] == ["measured by candlelight"]
    figure = sections["memory"]["figures"][_BOUNDED]
    assert (figure["value"], figure["rounds"]) == (125.0, [100.0, 150.0])
    _report([0.8], "three").write(file)
    sections = json.loads(file.read_text())["sections"]
    assert sections["gateway"]["figures"][_TARGET]["reached"] is True
    assert sections["gateway"]["machine"] == {"cpu": "three"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"figures": {}}', '{"sections": 1}'])
def test_a_file_that_is_no_report_is_replaced(tmp_path: Path, content: str) -> None:
    file = tmp_path / "bench.json"
    file.write_text(content)
    _report([0.8]).write(file)
    assert list(json.loads(file.read_text())["sections"]) == ["gateway"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_target_without_a_figure_is_remarked_on() -> None:
    report = _report([0.8])
    report.remark_on_missing("gateway")
    printed = _printed(report)
    assert "gateway.10.of-validating" in printed
    assert f"{_TARGET}, but" not in printed


def test_figures_are_shown_with_three_digits_or_so() -> None:
    assert [shown(value) for value in (12345.6, 123.4, 12.34, 1.234, 0.004)] == [
        "12,346", "123", "12.3", "1.23", "0.00",
    ]  # fmt: skip
