"""What the README lists is what the code has."""

import itertools
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from ingest.errors import Error
from ingest.settings import GatewaySettings
from tests.faults.catalogue import FAULTS
from worker.settings import WorkerSettings

README = Path(__file__).parents[2] / "README.md"


def table(header: str) -> list[str]:
    """Return the rows of the README's table that begins with this header."""
    return rows_of(README, header)


def rows_of(file: Path, header: str) -> list[str]:
    """Return the rows of the table that begins with this header."""
    lines = file.read_text().splitlines()
    rows = lines[lines.index(header) + 2 :]
    return list(itertools.takewhile(lambda row: row.startswith("|"), rows))


def default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    if (condition := field.metadata["required_when"]) is not None:
        return f"required with `{condition.variable}={condition.value}`"
    if field.default == "":
        return "empty"
    return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"


def test_the_settings_table_is_what_the_processes_read() -> None:
    processes: dict[str, list[str]] = {}
    settings: dict[str, Field[Any]] = {}
    for cls, process in ((GatewaySettings, "gateway"), (WorkerSettings, "worker")):
        for field in fields(cls):
            processes.setdefault(field.metadata["variable"], []).append(process)
            settings.setdefault(field.metadata["variable"], field)
    expected = [
        f"| `{name}` | {'both' if len(processes[name]) > 1 else processes[name][0]} "
        f"| {default(field)} | {field.metadata['rule'].text} | {field.metadata['about']} |"
        for name, field in settings.items()
    ]
    assert table("| variable | process | default | rule | what for |") == expected


def test_the_error_table_is_what_clients_get() -> None:
    expected = [f"| {e.value.status} | `{e.value.code}` | {e.value.message} |" for e in Error]
    assert table("| status | code | message |") == expected


def test_error_codes_are_eight_digits_and_one_per_cause() -> None:
    codes = [error.value.code for error in Error]
    assert len(set(codes)) == len(codes)
    assert all(len(code) == 8 and code.isdigit() for code in codes)


def test_the_failure_table_is_what_the_trials_show() -> None:
    rows = {
        cells[1].strip(): cells[3].strip()
        for row in table("| fault | what the client sees | stored again within | what is lost |")
        if (cells := row.split("|"))
    }
    expected: dict[str, float] = {}
    for fault in FAULTS:
        expected[fault.row] = max(expected.get(fault.row, 0), fault.recovers_within_s)
    assert rows == {row: f"{within_s:g} s" for row, within_s in expected.items()}
