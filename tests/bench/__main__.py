"""`make bench`: measure everything, print one table, write `.local/bench.json`.

    python -m tests.bench [--quick] [SECTION ...]

Only sections with these names, or all. Exit code 1 if a figure means nothing or could not be
measured; whether a target is reached is for the reader.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from deploy.local.install import InstallError, install_missing, install_program
from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.bench.catalogue import SECTIONS, Section
from tests.bench.machine import describe
from tests.bench.report import Report
from tests.bench.rig import Rig

RESULT = Path(".local/bench.json")
_PLAIN_WIDTH = 110
_CACHE_GB = 1.0
# Others that use more of the machine than this spoil the figures.
_QUIET_SHARE = 0.1


def main() -> int:
    """Run the sections that the arguments ask for."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sections, quick = _arguments()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    try:
        install_missing({})
        install_program("wrk", "wrk")
    except InstallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            return _run(sections, console, Path(folder), quick=quick)
    except KeyboardInterrupt:
        return 130


def _arguments() -> tuple[list[Section], bool]:
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"only these, of: {', '.join(names)}"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(names):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    wanted = arguments.sections or names
    return [section for section in SECTIONS if section.name in wanted], arguments.quick


def _run(sections: list[Section], console: Console, folder: Path, *, quick: bool) -> int:
    began = time.monotonic()
    failed = False
    with _servers(folder, console) as (broker, database):
        report = Report(describe(broker, database))
        if report.machine["busy_before"] > _QUIET_SHARE:
            report.remark(f"others used {report.machine['busy_before']:.0%} of the machine's cores")
        rig = Rig(folder, broker, database, report, console, quick, _CACHE_GB)
        try:
            for section in sections:
                report.begin(section.name, section.title)
                try:
                    section.measure(rig)
                except Exception as error:  # noqa: BLE001 - whatever it is, the other sections go on
                    failed = True
                    console.print_exception()
                    report.remark(f"{section.name}: FAILED, {type(error).__name__}: {error}")
                report.write(RESULT)
        finally:
            report.show(console, time.monotonic() - began)
    console.print(f"all of it, with every round and the machine: {RESULT}")
    return 1 if failed else 0


@contextmanager
def _servers(folder: Path, console: Console) -> Iterator[tuple[RabbitMQ, MongoDB]]:
    console.print("starting RabbitMQ and MongoDB")
    broker, database = (
        RabbitMQ(folder / "rabbitmq"),
        MongoDB(folder / "mongodb", cache_gb=_CACHE_GB),
    )
    try:
        broker.start()
        database.start()
        yield broker, database
    finally:
        broker.kill()
        database.kill()


if __name__ == "__main__":
    sys.exit(main())
