"""The arguments of `dead-letters`."""

import argparse
import re
from typing import Any

from worker.letters.commands import LIST_LIMIT, run_drop, run_list, run_replay, run_show
from worker.letters.letter import Filter

SHOW_LIMIT = 10

_DESCRIPTION = """\
Look at, replay or drop what could not be applied and waits on the dead-letter queue.
A letter must satisfy all the filters that are given. One that the broker moved there (reason
delivery-limit) may hold entries of many executions: it is meant if one of them is."""
_REPLAY = """\
Publish dead letters to the queue of updates again and take them off the dead-letter queue; all of
them, if there is no filter. Safe to repeat and to interrupt: nothing is stored twice. Mend the
cause first, and try one with --limit 1: what is still refused comes back as a dead letter, and
after some 20 of those a worker stops working."""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `dead-letters` and its four commands to a command line."""
    about = "list, show, replay or drop dead letters"
    parser = commands.add_parser("dead-letters", help=about, description=_DESCRIPTION)
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = _add(actions, "list", run_list, "list dead letters and count them by reason")
    listing.add_argument("--json", action="store_true", help="write a JSON object per line")
    about = f"list this many at most (default: {LIST_LIMIT} in the table, with --json all)"
    _add_limit(listing, None, about)

    show = _add(actions, "show", run_show, "show all there is to know about dead letters")
    show.add_argument("--full", action="store_true", help="do not cut long bodies")
    _add_limit(show, SHOW_LIMIT, f"show this many at most (default {SHOW_LIMIT})")

    replay = _add(
        actions, "replay", run_replay, "publish dead letters to be applied again", _REPLAY
    )
    _add_limit(replay, None, "replay this many at most, the oldest first")

    drop = _add(actions, "drop", run_drop, "delete dead letters for good")
    _add_limit(drop, None, "drop this many at most, the oldest first")
    drop.add_argument("--all", action="store_true", help="drop all, if there is no filter")
    drop.add_argument("--yes", action="store_true", help="do not ask")
    drop.set_defaults(refuse=drop.error)


def _add(
    actions: Any, name: str, run: Any, about: str, description: str | None = None
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=about, description=description or about[0].upper() + about[1:] + "."
    )
    parser.set_defaults(run=run, wanted=filter_of)
    filters = parser.add_argument_group("filters")
    filters.add_argument(
        "--id", action="append", type=_id, default=[], metavar="ID",
        help="the id that list shows, or its first digits; may be repeated",
    )  # fmt: skip
    filters.add_argument("--reason", help="for example refused, undecodable, delivery-limit")
    filters.add_argument("--resource-group", metavar="GROUP")
    filters.add_argument("--execution", metavar="ID", help="an execution id")
    return parser


def _add_limit(parser: argparse.ArgumentParser, default: int | None, about: str) -> None:
    parser.add_argument("--limit", type=_positive, default=default, metavar="N", help=about)


def filter_of(arguments: argparse.Namespace) -> Filter:
    """Return the filter that the arguments describe."""
    return Filter(
        tuple(arguments.id), arguments.reason, arguments.resource_group, arguments.execution
    )


def _positive(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) is None or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a positive integer, but is {text!r}")
    return int(text)


def _id(text: str) -> str:
    if re.fullmatch("[0-9a-fA-F]{4,64}", text) is None:
        raise argparse.ArgumentTypeError(f"must be 4 to 64 hexadecimal digits, but is {text!r}")
    return text.lower()
