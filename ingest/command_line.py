"""The command line: `python -m ingest` runs a gateway, with a command it speaks to one."""

import argparse
import sys
from typing import NoReturn

from ingest.remote.arguments import add_commands
from ingest.runtime.process import run_process

_DESCRIPTION = "Without a command: run a gateway until SIGTERM."
_EPILOG = "A gateway's settings come from the environment: AMQP_URL and others, see the README."


def main() -> NoReturn:
    """Do what the command line asks for, and exit."""
    arguments = _parser().parse_args()
    sys.exit(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m ingest", description=_DESCRIPTION, epilog=_EPILOG)
    parser.set_defaults(run=_run_gateway)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add_commands(commands)
    return parser


def _run_gateway(_: argparse.Namespace) -> int:
    # Here, since a command needs no drivers: loading them is most of a command's start.
    from ingest.server import Gateway  # noqa: PLC0415
    from ingest.settings import GatewaySettings  # noqa: PLC0415

    run_process(GatewaySettings, lambda settings: Gateway(settings).run)
    return 0
