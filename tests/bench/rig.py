"""What sections run on: the servers, sites on them, loads, and progress."""

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aio_pika
import uvloop
from aio_pika.abc import AbstractChannel
from pymongo import MongoClient
from pymongo.database import Database
from rich.console import Console

from deploy.local.install import install_missing, install_program
from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.bench.bodies import Mix
from tests.bench.load import BUSY_SHARE, Load, LoadResult
from tests.bench.machine import describe
from tests.bench.programs import Counts, Program
from tests.bench.report import Report
from tests.harness.services import Gateway, Service, Site, Worker

T = TypeVar("T")
CACHE_GB = 1.0
_DEADLINE_S = 180.0
_POLL_S = 0.05
_STILL_S = 0.5
_WARM_UP_S = 1
_PLAIN_WIDTH = 110
_QUICK_S = 2.0
_numbers = itertools.count(1)


class BenchError(Exception):
    """What was measured means nothing; the message says why."""


@dataclass(slots=True)
class Rig:
    """Servers, a place for files, how long to measure, and where to say how it goes."""

    folder: Path
    broker: RabbitMQ
    database: MongoDB
    report: Report
    console: Console
    quick: bool
    _loads: list[LoadResult] = field(default_factory=list)

    def seconds(self, full: float) -> float:
        """Return how long to measure."""
        return min(full, _QUICK_S) if self.quick else full

    def rounds(self, full: int) -> int:
        """Return how many rounds to measure."""
        return 1 if self.quick else full

    def say(self, text: str) -> None:
        """Show what is being done."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def site(self, name: str) -> Iterator[Site]:
        """Set up a virtual host and a database; at the end stop their processes and drop them."""
        name = f"bench-{name}-{next(_numbers)}"
        site = Site(self.broker, self.database, name, self.folder_of(name))
        try:
            yield site
        finally:
            site.close()
            self.broker.control("delete_vhost", name)
            with self.mongo(name) as database:
                database.client.drop_database(name)

    def folder_of(self, name: str) -> Path:
        """Return a folder for the files of a site's processes."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    @contextmanager
    def mongo(self, name: str) -> Iterator[Database[dict[str, Any]]]:
        """Open a database."""
        with MongoClient[dict[str, Any]](self.database.url) as client:
            yield client[name]

    def sum_of(self, site: Site, collection: str, what: Any) -> int:
        """Return the sum of an expression over all documents of a collection."""
        pipeline = [{"$group": {"_id": None, "sum": {"$sum": what}}}]
        with self.mongo(site.database_name) as database:
            return sum(int(one["sum"]) for one in database[collection].aggregate(pipeline))

    @contextmanager
    def handler(self, kind: str, site: Site) -> Iterator[Program]:
        """Run one of the programs of `handlers`."""
        program = Program(kind, self.folder_of(site.database_name), site.environment)
        try:
            program.serve("tests.bench.handlers", kind)
            yield program
        finally:
            program.stop()

    @contextmanager
    def consumer(self, site: Site) -> Iterator[Counts]:
        """Run the textbook's consumer."""
        folder = self.folder_of(site.database_name)
        counts = Counts(folder / "counts")
        program = Program("consumer", folder, site.environment)
        try:
            program.count("tests.bench.textbook", counts)
            yield counts
        finally:
            program.stop()

    def load(self, url: str, mix: Mix, duration_s: float) -> Load:
        """Prepare a load; its executions are new ones."""
        number = next(_numbers)
        executions = [f"r{number:04}-{one:05}" for one in range(mix.executions)]
        return Load(url, mix, self.folder, executions, duration_s)

    def loaded(self, url: str, mix: Mix, duration_s: float) -> LoadResult:
        """Load a URL as fast as it answers."""
        load = self.load(url, mix, duration_s)
        load.start()
        return self.noted(load.finish())

    def warm_up(self, url: str, mix: Mix) -> None:
        """Load a URL for a moment, before it is measured."""
        load = self.load(url, mix, _WARM_UP_S)
        load.start()
        load.finish()

    def noted(self, result: LoadResult) -> LoadResult:
        """Keep a result for the remark about the generator's share."""
        self._loads.append(result)
        return result

    def remark_on_generator(self) -> None:
        """Say how much of a core the generator took at most since the last such remark."""
        if self._loads:
            most = max(result.cpu_share for result in self._loads)
            limit = ": it may be the limit" if most > BUSY_SHARE else ""
            self.report.remark(f"the generator took up to {most:.0%} of a core{limit}")
            self._loads.clear()


@contextmanager
def rig_in(folder: Path, console: Console, *, quick: bool) -> Iterator[Rig]:
    """Start the servers in a folder; they are killed at the end.

    Raises:
        InstallError, ServerError: they or wrk are missing and can't be installed, or don't start.
    """
    install_missing({})
    install_program("wrk", "wrk")
    broker, database = RabbitMQ(folder / "rabbitmq"), MongoDB(folder / "mongodb", cache_gb=CACHE_GB)
    console.print("starting RabbitMQ and MongoDB")
    try:
        broker.start()
        database.start()
        yield Rig(folder, broker, database, Report(describe(broker, database)), console, quick)
    finally:
        broker.kill()
        database.kill()


def plain_console() -> Console:
    """Make the console; in a pipe it is wide enough for the table."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop that the product uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@asynccontextmanager
async def channel_of(site: Site) -> AsyncIterator[AbstractChannel]:
    """Open a channel."""
    connection = await aio_pika.connect(site.amqp_url)
    async with connection:
        yield await connection.channel()


def pid_of(service: Service | RabbitMQ | MongoDB) -> int:
    """Return the id of the process of a gateway, worker or server."""
    process = service.members[0].process if isinstance(service, MongoDB) else service.process
    identity = process.identity
    if identity is None:
        raise BenchError(f"{process.name} does not run:\n{process.log_tail()}")
    return identity.pid


def accepted(gateway: Gateway) -> int:
    """Return how many updates a gateway has answered 204."""
    return sample_of(gateway, "ingest_updates_accepted_total")


def stored(worker: Worker) -> int:
    """Return how many updates a worker has stored."""
    return sample_of(worker, "worker_entries_applied_total")


def sample_of(service: Service, name: str) -> int:
    """Return a number that a process shows. Parsing all that it shows would take the CPU of others.

    Raises:
        BenchError: it does not show it.
    """
    found = re.search(rf"^{name} (\S+)$", service.operations("/metrics"), re.MULTILINE)
    if found is None:
        raise BenchError(f"{name} is not shown")
    return round(float(found[1]))


def default_of(settings: type[Any], name: str) -> int:
    """Return the default of a setting."""
    return int(settings.__dataclass_fields__[name].default)


def await_that(condition: Callable[[], bool], otherwise: str, poll_s: float = _POLL_S) -> None:
    """Wait for a condition.

    Raises:
        BenchError: it does not come true in time.
    """
    ends = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > ends:
            raise BenchError(otherwise)
        time.sleep(poll_s)


def await_still(count: Callable[[], int]) -> None:
    """Wait until a count has not moved for a moment."""
    seen = [-1]

    def is_still() -> bool:
        time.sleep(_STILL_S)
        seen.append(count())
        return seen[-1] == seen[-2]

    await_that(is_still, "the queue was not drained in time")
