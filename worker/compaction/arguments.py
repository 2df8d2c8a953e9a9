"""The arguments of `compact`."""

import argparse
import re

from ingest.contract.resource import EXECUTION_ID_PATTERN, RESOURCE_GROUP_PATTERN

_DESCRIPTION = """\
Merge small segments into large ones, of all resources or of some, and remove what deletions have
hidden. Workers do so on their own for what they write; a sweep, once a day or a week, is for what
they left: runs that ended early, and workers that were started anew. No answer changes. Safe to
interrupt, to repeat, and beside anything else."""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `compact` to a command line."""
    about = "merge small segments in the database"
    parser = commands.add_parser("compact", help=about, description=_DESCRIPTION)
    parser.add_argument(
        "--resource-group", type=_resource_group, metavar="GROUP", help="only of this group"
    )
    parser.add_argument(
        "--execution", type=_execution, metavar="ID",
        help="only of this execution; needs --resource-group",
    )  # fmt: skip
    parser.set_defaults(run=_run, refuse=parser.error)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.execution and not arguments.resource_group:
        arguments.refuse("--execution needs --resource-group: ids are unique only there")
    # Here, since other commands need no database: loading its driver takes longer than they do.
    from worker.compaction.sweep import run_sweep  # noqa: PLC0415

    return run_sweep(arguments.resource_group, arguments.execution)


def _resource_group(text: str) -> str:
    if re.fullmatch(RESOURCE_GROUP_PATTERN, text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a resource group")
    return text


def _execution(text: str) -> str:
    if re.fullmatch(EXECUTION_ID_PATTERN, text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an execution id")
    return text
