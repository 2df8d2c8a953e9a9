"""`make chaos`: every fault, thoroughly, with a table at the end.

    python -m tests.faults [--short] [WORD ...]

Only faults whose name has one of the words, or all. Exit code 1 if a promise was broken.
"""

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table

from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from ingest.runtime.process import leaves
from tests.faults.catalogue import FAULTS
from tests.faults.stage import Servers
from tests.faults.trial import FULL, SHORT, Dose, Fault, Result, run_trial
from tests.harness.ledger import Outcome
from tests.harness.load import Load

_TRIAL_DEADLINE_S = 900
_REFRESH_S = 0.5
_PLAIN_WIDTH = 100


def main() -> int:
    """Run the trials that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--short", action="store_true", help="as short as in make test")
    parser.add_argument("words", nargs="*", help="only faults whose name has one of these")
    arguments = parser.parse_args()
    words = arguments.words or [""]
    faults = [fault for fault in FAULTS if any(word in fault.name for word in words)]
    if not faults:
        names = "\n  ".join(fault.name for fault in FAULTS)
        sys.stderr.write(f"No fault has that in its name. There are:\n  {names}\n")
        return 2
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, suppress(KeyboardInterrupt):
        results = asyncio.run(
            _run(faults, SHORT if arguments.short else FULL, Path(folder), console)
        )
        return 1 if any(result.problems for result in results) else 0
    return 130


async def _run(faults: list[Fault], dose: Dose, folder: Path, console: Console) -> list[Result]:
    results: dict[str, Result] = {}
    began = time.monotonic()
    try:
        async with _shared_servers(folder, console) as servers:
            for number, fault in enumerate(faults, start=1):
                own = folder / f"trial-{number}"
                own.mkdir()
                head = f"[{number}/{len(faults)}] {fault.name}"
                with console.status(head) as status:
                    results[fault.name] = await _try(fault, dose, servers, own, status, head)
                _say(head, results[fault.name], console)
    finally:
        if results:
            console.print(_table(results, time.monotonic() - began))
    return list(results.values())


@asynccontextmanager
async def _shared_servers(folder: Path, console: Console) -> AsyncIterator[Servers]:
    broker, database = RabbitMQ(folder / "rabbitmq"), MongoDB(folder / "mongodb")
    try:
        with console.status("starting RabbitMQ and MongoDB"):
            await asyncio.gather(asyncio.to_thread(broker.start), asyncio.to_thread(database.start))
        yield Servers(broker, database)
    finally:
        await asyncio.gather(asyncio.to_thread(broker.stop), asyncio.to_thread(database.stop))


async def _try(
    fault: Fault, dose: Dose, servers: Servers, folder: Path, status: Status, head: str
) -> Result:
    """Run one trial, its progress in the status line; what it raises is a problem, too."""
    started = time.monotonic()
    loads: list[Load] = []

    async def watch() -> None:
        while True:
            line = f"{head}, {time.monotonic() - started:.0f} s"
            for load in loads:
                accepted = load.ledger.count(Outcome.ACCEPTED)
                line += f", {load.sent:,} requests, {accepted:,} accepted"
            status.update(line)
            await asyncio.sleep(_REFRESH_S)

    watching = asyncio.create_task(watch())
    try:
        async with asyncio.timeout(_TRIAL_DEADLINE_S):
            return await run_trial(fault, dose, servers, folder, loads.append)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other trials go on
        return Result(problems=[_in_a_line(leaf) for leaf in _leaves(error)])
    finally:
        watching.cancel()


def _leaves(error: Exception) -> Iterator[BaseException]:
    return leaves(error) if isinstance(error, ExceptionGroup) else iter((error,))


def _in_a_line(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"{place}: {type(error).__name__}: {' '.join(str(error).split())}"


def _say(head: str, result: Result, console: Console) -> None:
    if result.problems:
        console.print(f"{head}: [red]FAILED[/red]")
        for problem in result.problems:
            console.print(f"    {problem}", markup=False, soft_wrap=True)
    else:
        console.print(f"{head}: {result.requests:,} requests, all as promised", soft_wrap=True)


def _table(results: dict[str, Result], seconds: float) -> Table:
    title = f"\n{len(results)} faults in {seconds / 60:.1f} minutes"
    table = Table("fault", title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("requests", "accepted", "lost", "doubled", "recovered", "slowest"):
        table.add_column(column, justify="right")
    for name, result in results.items():
        table.add_row(
            name,
            f"{result.requests:,}",
            f"{result.accepted:,}",
            "?" if result.lost is None else f"{result.lost:,}",
            "?" if result.doubled is None else f"{result.doubled:,}",
            "no" if result.recovered_s is None else f"{result.recovered_s:.1f} s",
            f"{result.slowest_s:.1f} s",
            style="red" if result.problems else None,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
