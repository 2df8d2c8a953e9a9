"""Draining a full queue, with one, two and four workers, against a raw insert of the same segments.

Updates are sent through the gateway, and the messages that it makes are kept: every round drains
the very same ones, into a database of its own. Workers are started first; then the messages are
published, which takes a small part of the time that storing them takes, and the rate is that from
the end of publishing until no more is left than what the workers have in flight. In the beginning
they have as much in flight, begun but not stored, so work that is counted on one side is left out
on the other. CPU is that of the workers, of MongoDB and of RabbitMQ meanwhile: it shows whether
more workers find free cores. Then the segments of the database are inserted by `insert_many`, in as
many batches as the worker made, with as many at the same time.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from ingest.contract.documents import SEGMENTS
from tests.bench.bodies import Mix
from tests.bench.ceilings import count_entries, insert, publish, take_messages
from tests.bench.rig import BenchError, Rig, default_of, pid_of, run, sample_of, stored
from tests.bench.usage import cpu_s
from tests.harness.services import Gateway, Site, Worker
from worker.settings import WorkerSettings

TITLE = "Draining a full queue, updates stored"
MIXES = (Mix(1), Mix(10), Mix(100), Mix(1000), Mix(10, 1))
_FILL_S = 4.0
_ROUNDS = 3
_WORKERS = (1, 2, 4)
_USERS = ("workers", "MongoDB", "RabbitMQ")
_MAX_MESSAGES_BYTES = 128_000_000
_PUBLISH_IN_FLIGHT = 16
# A look costs each worker a millisecond.
_POLL_S = 0.1
# The rate is that of so many of the updates at least.
_LEAST_SHARE = 0.25
# Loads are repeated until there is so much to drain, more messages than four workers take in
# advance, or that often.
_LEAST_POINTS = 20_000
_LEAST_MESSAGES = 6 * default_of(WorkerSettings, "prefetch_messages")
_MOST_FILLS = 6
_DEADLINE_S = 120.0


@dataclass(slots=True)
class _Rates:
    """Updates per second of each round."""

    drained: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in _WORKERS})
    # Microseconds of CPU for each update, by who used it.
    cpu: dict[int, dict[str, list[float]]] = field(
        default_factory=lambda: {n: {name: [] for name in _USERS} for n in _WORKERS}
    )
    inserted: list[float] = field(default_factory=list)
    # What each database holds in the end, by the worker's count.
    batch: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Drain:
    rate: float
    batches: int
    cpu_us: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Sample:
    """What was stored at a moment, and the CPU used until then, by who used it."""

    at: float
    stored: int
    used_s: dict[str, float]


def measure(rig: Rig) -> None:
    """Measure all sizes."""
    with rig.site("drain") as site:
        gateway = site.gateway()
        gateway.start()
        for mix in MIXES:
            rig.say(f"drain: {mix}, filling the queue")
            messages = _fill(rig, gateway, site, mix)
            rates = _Rates()
            rounds = rig.rounds(_ROUNDS)
            for number in range(rounds):
                rig.say(
                    f"drain: {mix}, {sum(count_entries(messages)):,} updates "
                    f"in {len(messages):,} messages, round {number + 1} of {rounds}"
                )
                _measure_round(rig, site, mix, messages, rates)
            _report(rig, mix, rates)


def _fill(rig: Rig, gateway: Gateway, site: Site, mix: Mix) -> list[bytes]:
    """Send updates and return the messages that the gateway makes of them."""
    messages: list[bytes] = []
    for _ in range(_MOST_FILLS):
        rig.loaded(f"{gateway.url}/lm/metrics", mix, rig.seconds(_FILL_S))
        messages += run(take_messages(site, _MAX_MESSAGES_BYTES))
        points = sum(count_entries(messages)) * mix.metrics
        if points >= _LEAST_POINTS and len(messages) >= _LEAST_MESSAGES:
            break
    return messages


def _measure_round(rig: Rig, site: Site, mix: Mix, messages: list[bytes], rates: _Rates) -> None:
    updates = sum(count_entries(messages))
    for workers in _WORKERS:
        name = f"{site.database_name}-{workers}"
        with rig.mongo(name) as database:
            database.client.drop_database(name)
            drain = _drain(rig, site, name, messages, workers)
            rates.drained[workers].append(drain.rate)
            for user, cpu_us in drain.cpu_us.items():
                rates.cpu[workers][user].append(cpu_us)
            documents: list[dict[str, Any]] = []
            if workers == 1:
                documents = list(database[SEGMENTS].find().sort("_id"))
                if sum(one["points"] for one in documents) != updates * mix.metrics:
                    raise BenchError("not all points are in the database")
            database.client.drop_database(name)
        if documents:
            in_flight = default_of(WorkerSettings, "batches_in_flight")
            took_s = run(
                insert(rig.database.url, f"{name}-raw", documents, drain.batches, in_flight)
            )
            rates.inserted.append(updates / took_s)
            rates.batch.append(updates / drain.batches)


def _drain(rig: Rig, site: Site, database: str, messages: list[bytes], count: int) -> _Drain:
    """Start workers, put messages on the queue, and see how fast they are stored."""
    updates = sum(count_entries(messages))
    workers = [site.worker(MONGODB_DATABASE=database) for _ in range(count)]
    try:
        for worker in workers:
            worker.launch()
        for worker in workers:
            worker.await_ready()
        run(publish(site, messages, _PUBLISH_IN_FLIGHT))
        pids = dict(
            zip(
                _USERS,
                ([pid_of(one) for one in workers], [pid_of(rig.database)], [pid_of(rig.broker)]),
                strict=True,
            )
        )
        samples = _samples(workers, updates, pids)
        batches = sum(sample_of(one, "worker_batch_entries_count") for one in workers)
    finally:
        for worker in workers:
            worker.stop()
    in_flight = count * default_of(WorkerSettings, "batches_in_flight") * updates / batches
    first = samples[0]
    last = next(one for one in samples if one.stored >= updates - in_flight)
    drained = last.stored - first.stored
    if drained < _LEAST_SHARE * updates:
        raise BenchError("there was too little to drain for so many workers")
    cpu_us = {user: 1e6 * (last.used_s[user] - first.used_s[user]) / drained for user in _USERS}
    return _Drain(drained / (last.at - first.at), batches, cpu_us)


def _samples(workers: list[Worker], updates: int, pids: dict[str, list[int]]) -> list[_Sample]:
    """Look at the workers, from when all of them have stored something until all is stored."""
    samples: list[_Sample] = []
    ends = time.monotonic() + _DEADLINE_S
    while time.monotonic() < ends:
        counts = [stored(worker) for worker in workers]
        if samples or all(counts):
            samples.append(_Sample(time.monotonic(), sum(counts), _used_s(pids)))
        if sum(counts) == updates:
            if not samples:
                raise BenchError("all was stored before all workers had begun")
            return samples
        time.sleep(_POLL_S)
    raise BenchError("the queue was not drained in time")


def _used_s(pids: dict[str, list[int]]) -> dict[str, float]:
    return {user: sum(map(cpu_s, theirs)) for user, theirs in pids.items()}


def _report(rig: Rig, mix: Mix, rates: _Rates) -> None:
    report, head, of = rig.report, f"drain.{mix.key}", f"{mix}"
    drained = rates.drained
    for count in _WORKERS:
        what = f"{of}: {count} worker{'s' if count > 1 else ''}"
        report.add(f"{head}.workers-{count}", what, "/s", drained[count])
        for user, cpu_us in rates.cpu[count].items():
            key = f"{head}.workers-{count}-cpu-{user.lower()}"
            report.add(key, f"{what}: CPU of {user} for each", "µs", cpu_us)
    report.add(f"{head}.insert", f"{of}: raw insert_many", "/s", rates.inserted)
    report.add(f"{head}.batch", f"{of}: updates in a batch", "", rates.batch)
    report.compare(f"{head}.of-insert", f"{of}: 1 worker ÷ raw", drained[1], rates.inserted)
    report.compare(f"{head}.two-of-one", f"{of}: 2 workers ÷ 1", drained[2], drained[1])
    report.compare(f"{head}.four-of-one", f"{of}: 4 workers ÷ 1", drained[4], drained[1])
