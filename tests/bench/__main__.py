"""`make bench`: measure everything, print one table, write `.local/bench.json`.

Sections that are not measured stay in that file as they are, each with its own machine and commit.

    python -m tests.bench [--quick] [SECTION ...]

Only sections with these names, or all but those that need more than this machine has anyway. Exit
code 1 if something could not be measured; what makes a figure doubtful stands below the table, and
whether a target is reached is for the reader.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from deploy.local.install import InstallError
from deploy.local.server import ServerError
from tests.bench.catalogue import SECTIONS, Section
from tests.bench.rig import Rig, plain_console, rig_in

RESULT = Path(".local/bench.json")
RESULT_OF_QUICK = Path(".local/bench-quick.json")
# Others that use more of the machine than this spoil the figures.
_QUIET_SHARE = 0.1


def main() -> int:
    """Run the sections that the arguments ask for."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sections, quick = _arguments()
    console = plain_console()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
            rig_in(Path(folder), console, quick=quick) as rig,
        ):
            return _run(sections, rig, console)
    except (InstallError, ServerError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
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
    wanted = arguments.sections or [section.name for section in SECTIONS if section.usual]
    return [section for section in SECTIONS if section.name in wanted], arguments.quick


def _run(sections: list[Section], rig: Rig, console: Console) -> int:
    began = time.monotonic()
    report, failed = rig.report, False
    busy = report.machine["busy_before"]
    if busy > _QUIET_SHARE:
        rig.say(f"others use {busy:.0%} of this machine's cores: the figures will mean little")
    try:
        for section in sections:
            report.begin(section.name, section.title)
            try:
                section.measure(rig)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other sections go on
                failed = True
                console.print_exception()
                report.remark(f"FAILED, {type(error).__name__}: {error}")
            else:
                report.remark_on_missing(section.name)
            rig.remark_on_generator()
    finally:
        result = RESULT_OF_QUICK if rig.quick else RESULT
        report.show(console, time.monotonic() - began)
        report.write(result)
        if busy > _QUIET_SHARE:
            rig.say(f"- others used {busy:.0%} of this machine's cores before it began")
    console.print(f"all of it, with every round and the machine: {result}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
