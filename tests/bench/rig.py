"""What sections run on: the servers, the programs under load, progress, and the checks."""

import asyncio
import itertools
import mmap
import os
import sys
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

from deploy.local.mongodb import MongoDB
from deploy.local.ports import LOOPBACK, answers, choose_port
from deploy.local.process import Process, wait_for
from deploy.local.rabbitmq import RabbitMQ
from tests.bench.bodies import Mix
from tests.bench.load import BUSY_SHARE, Load, LoadResult
from tests.bench.report import Report
from tests.bench.textbook import COUNTS_BYTES
from tests.harness.services import ROOT, Gateway, Service, Site, Worker

T = TypeVar("T")
_START_DEADLINE_S = 20.0
_DRAIN_DEADLINE_S = 180.0
_POLL_S = 0.05
_STILL_S = 0.5
_WARM_UP_S = 1
_numbers = itertools.count(1)


class BenchError(Exception):
    """What was measured means nothing; the message says why."""


class Program:
    """A program of the bench's own, as a child process."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        """Prepare a program in a folder."""
        self.port = choose_port()
        self._environment = environment
        self._process = Process(name, folder / f"{name}.log", folder / f"{name}.pid.json")

    def start(self, module: str, *arguments: str, listens: bool = True) -> None:
        """Start it, and wait until it listens on its port, if it does."""
        command = [sys.executable, "-m", module, *arguments]
        self._process.start(command, os.environ | {"PYTHONPATH": str(ROOT)} | self._environment)
        if listens and not wait_for(lambda: answers(self.port), _START_DEADLINE_S):
            raise BenchError(f"{module} does not listen:\n{self._process.log_tail()}")

    @property
    def url(self) -> str:
        """Where to send updates."""
        return f"http://{LOOPBACK}:{self.port}/v2/lm/metrics"

    def log_tail(self) -> str:
        """Return the end of its log."""
        return self._process.log_tail()

    def stop(self) -> None:
        """End it."""
        self._process.stop(_START_DEADLINE_S)


class Counts:
    """A number that a child process counts up, in shared memory."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with file.open("wb+") as opened:
            opened.truncate(COUNTS_BYTES)
            self._memory = memoryview(mmap.mmap(opened.fileno(), COUNTS_BYTES)).cast("d")
        self._memory[0] = -1

    @property
    def value(self) -> int:
        """Return the count; -1 until the child is ready."""
        return int(self._memory[0])


@dataclass(slots=True)
class Rig:
    """Servers, a place for files, how long to measure, and where to say how it goes."""

    folder: Path
    broker: RabbitMQ
    database: MongoDB
    report: Report
    console: Console
    quick: bool
    cache_gb: float
    loads: list[LoadResult] = field(default_factory=list)

    def seconds(self, full: float) -> float:
        """Return how long to measure."""
        return max(2.0, full / 2) if self.quick else full

    def rounds(self, full: int) -> int:
        """Return how many rounds to measure."""
        return 1 if self.quick else full

    def say(self, text: str) -> None:
        """Show what is being done."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def site(self, name: str) -> Iterator[Site]:
        """Set up a virtual host and a database; at the end stop their processes and drop it."""
        name = f"bench-{name}-{next(_numbers)}"
        folder = self.folder / name
        folder.mkdir()
        site = Site(self.broker, self.database, name, folder)
        try:
            yield site
        finally:
            site.close()
            self.broker.control("delete_vhost", name)
            with self.mongo(name) as database:
                database.client.drop_database(name)

    @contextmanager
    def mongo(self, name: str) -> Iterator[Database[dict[str, Any]]]:
        """Open a database."""
        with MongoClient[dict[str, Any]](self.database.url) as client:
            yield client[name]

    @contextmanager
    def handler(self, kind: str, site: Site) -> Iterator[Program]:
        """Run one of the programs of `handlers`."""
        program = Program(f"handler-{kind}", self.folder / site.database_name, site.environment)
        try:
            program.start("tests.bench.handlers", kind, str(program.port))
            yield program
        finally:
            program.stop()

    @contextmanager
    def consumer(self, site: Site) -> Iterator[Counts]:
        """Run the textbook's consumer."""
        folder = self.folder / site.database_name
        counts = Counts(folder / "counts")
        program = Program("consumer", folder, site.environment)
        try:
            program.start("tests.bench.textbook", str(counts.file), listens=False)
            if not wait_for(lambda: counts.value >= 0, _START_DEADLINE_S):
                raise BenchError(f"the consumer is not ready:\n{program.log_tail()}")
            yield counts
        finally:
            program.stop()

    def load(self, url: str, mix: Mix, duration_s: float) -> Load:
        """Prepare a load; its executions are new ones."""
        number = next(_numbers)
        executions = [f"r{number:04}-{one:05}" for one in range(mix.executions)]
        return Load(url, mix, self.folder, executions, duration_s)

    def loaded(self, url: str, mix: Mix, duration_s: float) -> LoadResult:
        """Load a URL as fast as it answers; note it when the generator may be the limit."""
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
        self.loads.append(result)
        return result

    def sum_of(self, site: Site, collection: str, what: Any) -> int:
        """Return the sum of an expression over all documents of a collection."""
        pipeline = [{"$group": {"_id": None, "sum": {"$sum": what}}}]
        with self.mongo(site.database_name) as database:
            return sum(int(one["sum"]) for one in database[collection].aggregate(pipeline))

    def await_still(self, count: Callable[[], int]) -> None:
        """Wait until a count has not moved for a moment."""
        ends = time.monotonic() + _DRAIN_DEADLINE_S
        now, before = count(), -1
        while now != before:
            if time.monotonic() > ends:
                raise BenchError("the queue was not drained in time")
            time.sleep(_STILL_S)
            now, before = count(), now

    def remark_on_generator(self, section: str) -> None:
        """Say how much of a core the generator took at most in this section."""
        if self.loads:
            most = max(result.cpu_share for result in self.loads)
            limit = ": it may be the limit" if most > BUSY_SHARE else ""
            self.report.remark(f"{section}: the generator took up to {most:.0%} of a core{limit}")
            self.loads.clear()


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
    return round(gateway.metric("ingest_updates_accepted_total"))


def stored(*workers: Worker) -> int:
    """Return how many updates workers have stored."""
    return round(sum(worker.metric("worker_entries_applied_total") for worker in workers))


def await_drained(gateway: Gateway, *workers: Worker) -> None:
    """Wait until workers have stored what a gateway accepted, and neither more nor less.

    All of them must have been there from the start.
    """
    _await(lambda: stored(*workers) >= accepted(gateway), "the queue was not drained in time")
    counts = accepted(gateway), stored(*workers)
    if counts[0] != counts[1]:
        raise BenchError(f"{counts[0]} updates were accepted and {counts[1]} stored")


def _await(condition: Callable[[], bool], otherwise: str) -> None:
    ends = time.monotonic() + _DRAIN_DEADLINE_S
    while not condition():
        if time.monotonic() > ends:
            raise BenchError(otherwise)
        time.sleep(_POLL_S)


def default_of(settings: type[Any], name: str) -> int:
    """Return the default of a setting."""
    return int(settings.__dataclass_fields__[name].default)
