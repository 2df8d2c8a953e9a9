"""The command line: `python -m worker` runs a worker, with a command it does something else.

A command is a module with `add_command(commands)`: it adds a parser of its own and sets there, as
the default of `run`, what is called with the parsed arguments. `run` returns the exit code.
"""

import argparse
import sys
from typing import NoReturn

from ingest.runtime.process import run_process
from worker.compaction import arguments as compact
from worker.letters import arguments as dead_letters

_DESCRIPTION = "Without a command: run a worker until SIGTERM."
_EPILOG = "Settings come from the environment: AMQP_URL and others, see the README."


def main() -> NoReturn:
    """Do what the command line asks for, and exit."""
    arguments = _parser().parse_args()
    sys.exit(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m worker", description=_DESCRIPTION, epilog=_EPILOG)
    parser.set_defaults(run=_run_worker)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    compact.add_command(commands)
    dead_letters.add_command(commands)
    return parser


def _run_worker(_: argparse.Namespace) -> int:
    # Here, since a command needs no database: loading its driver is most of a command's start.
    from worker.server import Worker  # noqa: PLC0415
    from worker.settings import WorkerSettings  # noqa: PLC0415

    run_process(WorkerSettings, lambda settings: Worker(settings).run)
    return 0
