"""The arguments of `send` and `query`."""

import argparse
import os
import re
import sys
from urllib.parse import urlsplit, urlunsplit

from ingest.contract.parse import check_resource_group
from ingest.remote.gateway import Target

_DEFAULT_URL = "http://127.0.0.1:8080"
_PATH = "/v2/lm/metrics"
_MAX_CONNECTIONS = 64
# RFC 6750, section 2.1.
_TOKEN = re.compile(r"(?:[Bb]earer +)?([A-Za-z0-9._~+/-]+=*)")

_SEND = """\
Send updates to a gateway and wait until all are accepted. The input is JSON lines with a
MetricResource each, or one JSON document: a MetricResource, an array of them, or what query
printed. Updates of one execution share requests as far as the limits allow, in their order; one
that exceeds them is sent in parts. What the gateway invites to repeat, and what broken connections
leave open, is repeated; a metric without timestamp gets the time at which it was read, so that this
makes no second point."""
_SEND_CODES = """\
exit codes: 0 all accepted; 1 the gateway could not be reached or gave no useful answer in time, and
some are left: if all metrics have timestamps, send everything again; 2 wrong arguments or
environment; 3 some were refused, the others are accepted, or the gateway refuses everything (token,
resource group, URL); 130 interrupted: a second Ctrl-C waits for no answers."""
_QUERY = """\
Find executions and print their metrics, tags and custom info: as a table on a terminal, else the
JSON that the gateway sends, as it comes."""
_QUERY_CODES = """\
exit codes: 0 found; 1 the gateway could not be reached, gave no useful answer in time or broke off;
2 wrong arguments or environment; 3 the gateway refused the query; 4 nothing was found;
130 interrupted."""
_ENVIRONMENT = "The bearer token, if the gateway wants one, comes from INGEST_TOKEN."


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `send` and `query` to a command line."""
    send = _add(commands, "send", "send updates from a file or from stdin", _SEND, _SEND_CODES)
    send.add_argument("input", metavar="FILE", help="the input; - is stdin")
    send.add_argument(
        "--connections", type=_connections, default=4, metavar="N",
        help="send so many requests at once (default 4); those of one execution never",
    )  # fmt: skip
    send.set_defaults(run=_run_send)

    query = _add(commands, "query", "find executions and print them", _QUERY, _QUERY_CODES)
    query.add_argument(
        "execution_ids", nargs="*", metavar="EXECUTION", help="up to 10 execution ids"
    )
    for name, metavar, about in (
        ("filter", "EXPRESSION", "instead of ids: executionId eq '...' or in ('...','...')"),
        ("tag-filters", "FILTERS", "name=value, name!=value, name; comma-separated, all must hold"),
        ("select", "SECTIONS", "of metrics, tags, customInfo, *; comma-separated (default: all)"),
        ("top", "N", "at most so many executions (default 1000)"),
        ("skip", "N", "leave out the first so many"),
    ):
        query.add_argument(f"--{name}", metavar=metavar, help=about)
    query.add_argument("--json", action="store_true", help="print JSON on a terminal, too")
    query.set_defaults(run=_run_query)


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str, about: str, description: str, codes: str,
) -> argparse.ArgumentParser:  # fmt: skip
    parser = commands.add_parser(
        name, help=about, description=description, epilog=f"{_ENVIRONMENT}\n\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    gateway = parser.add_argument_group("gateway")
    gateway.add_argument(
        "--url", type=_url, default=os.environ.get("INGEST_URL") or _DEFAULT_URL,
        help=f"where it is (default: INGEST_URL, else {_DEFAULT_URL})",
    )  # fmt: skip
    gateway.add_argument(
        "--resource-group", type=_resource_group, metavar="GROUP",
        default=os.environ.get("INGEST_RESOURCE_GROUP") or "default",
        help="default: INGEST_RESOURCE_GROUP, else default",
    )  # fmt: skip
    gateway.add_argument(
        "--patience", type=_seconds, default=120.0, metavar="SECONDS",
        help="repeat a request for so long (default 120); 0: never",
    )  # fmt: skip
    gateway.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="SECONDS",
        help="wait so long for an answer, or for more of it (default 60)",
    )  # fmt: skip
    parser.set_defaults(refuse=parser.error)
    return parser


def _target(arguments: argparse.Namespace) -> Target:
    token = os.environ.get("INGEST_TOKEN", "").strip()
    match = _TOKEN.fullmatch(token)
    if token and match is None:
        arguments.refuse("INGEST_TOKEN holds no bearer token (it is not shown)")
    return Target(
        arguments.url,
        arguments.resource_group,
        match[1] if match else "",
        arguments.patience,
        arguments.timeout,
    )


def _run_send(arguments: argparse.Namespace) -> int:
    # Here, so that a gateway's start, and --help, wait for none of it.
    from ingest.remote.commands import run_send  # noqa: PLC0415

    target = _target(arguments)
    if arguments.input == "-":
        if sys.stdin is None:  # closed by whoever started this
            arguments.refuse("there is no stdin to read")
        return run_send(target, sys.stdin.buffer, None, arguments.connections)
    try:
        stream = open(arguments.input, "rb")  # noqa: PTH123, SIM115 - as it was written; until the end
        size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        arguments.refuse(f"cannot read {arguments.input}: {error.strerror or error}")
        raise
    return run_send(target, stream, size or None, arguments.connections)


def _run_query(arguments: argparse.Namespace) -> int:
    from ingest.remote.commands import run_query  # noqa: PLC0415 - as above

    parameters = {
        "executionIds": ",".join(arguments.execution_ids) or None,
        "$filter": arguments.filter,
        "tagFilters": arguments.tag_filters,
        "$select": arguments.select,
        "$top": arguments.top,
        "$skip": arguments.skip,
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    if not given.keys() & {"executionIds", "$filter", "tagFilters"}:
        arguments.refuse("say what to find: execution ids, --filter or --tag-filters")
    return run_query(_target(arguments), given, as_json=arguments.json)


def _url(text: str) -> str:
    """Return the address of the metrics; that of the gateway, or of its API, will do."""
    if "@" in text:
        raise argparse.ArgumentTypeError("has a user in it (not shown); set INGEST_TOKEN instead")
    wrong = argparse.ArgumentTypeError(f"must look like http://host:port, but is {text!r}")
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        (parts.hostname or "").encode("idna")  # as it is looked up
    except ValueError:
        raise wrong from None
    if not usable or parts.query or parts.fragment:
        raise wrong
    path = parts.path.rstrip("/").removesuffix("/lm/metrics").removesuffix("/v2")
    return urlunsplit((parts.scheme, parts.netloc, path + _PATH, "", ""))


def _resource_group(text: str) -> str:
    violation = check_resource_group(text)
    if violation is not None:
        raise argparse.ArgumentTypeError(violation.reason)
    return text


def _connections(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= _MAX_CONNECTIONS:
        raise argparse.ArgumentTypeError(f"must be 1 to {_MAX_CONNECTIONS}, but is {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,6}([.][0-9]+)?", text) is None:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, but is {text!r}")
    return float(text)
