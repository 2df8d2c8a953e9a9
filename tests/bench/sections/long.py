"""Long runs: what an update costs when its run holds ever more points, and reading a million.

Runs are logged a thousand points at a time, in order. Then, in rounds, each gets the same number
of updates of one metric, in three lots; of the shortest, which would grow, each lot has a new one.
Time is that from the first request until all is stored, over 64 connections; CPU is the worker's
and MongoDB's.
"""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from deploy.local.ports import LOOPBACK
from tests.bench.bodies import RESOURCE_GROUP, run_updates
from tests.bench.latency import Connections
from tests.bench.pipeline import Pipeline, pipeline
from tests.bench.rig import BenchError, Rig, pid_of
from tests.bench.usage import cpu_s, forget_peak, peak_mb, resident_mb
from tests.harness.services import Gateway

TITLE = "Long runs"
_SIZES = (1_000, 100_000, 1_000_000)
_LOGGED_AT_A_TIME = 1000
_LOTS = 3
_LOT = 2000
_UPDATES = _LOTS * _LOT
# Short against what a round takes, and too long for the process to notice.
_POLL_S = 0.02
_ROUNDS = 8
_READS = 3
_CHUNK_BYTES = 1 << 20
_READ_TIMEOUT_S = 120.0
# Every point has it once, and no label does.
_OF_A_POINT = b'"step":'


@dataclass(slots=True)
class _Costs:
    """Microseconds for each update, of each round."""

    time_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


def measure(rig: Rig) -> None:
    """Measure the cost of updates, then that of reading."""
    with pipeline(rig, "long") as ours:
        with Connections(ours.gateway.port) as connections:
            for points in _SIZES[1:]:
                rig.say(f"long: logging a run of {points:,} points")
                _log(connections, ours, f"run-{points}", points)
            _measure_updates(rig, connections, ours)
        _measure_reads(rig, ours.gateway)


def _log(connections: Connections, ours: Pipeline, name: str, points: int) -> None:
    connections.send_all(run_updates(name, points, _LOGGED_AT_A_TIME))
    ours.await_drained()


def _measure_updates(rig: Rig, connections: Connections, ours: Pipeline) -> None:
    costs = {points: _Costs() for points in _SIZES}
    rounds = rig.rounds(_ROUNDS)
    # The first round is a warm-up, and forgotten. Whoever comes first in a round may be at a
    # disadvantage: so they take turns.
    for number in range(rounds + 1):
        rig.say(f"long: {_UPDATES:,} updates for each run, round {number} of {rounds}")
        for points in (_SIZES * 2)[number % len(_SIZES) :][: len(_SIZES)]:
            lots = _lots(connections, ours, points, number)
            cost = costs[points] if number else _Costs()
            _measure_round(rig, connections, ours, list(chain.from_iterable(lots)), cost)
    _report_updates(rig, costs)


def _lots(
    connections: Connections, ours: Pipeline, points: int, number: int
) -> Iterator[Iterator[bytes]]:
    """Yield the updates of a round, after what they are added to was logged."""
    for lot in range(_LOTS):
        if points > _SIZES[0]:
            begin = points + number * _UPDATES + lot * _LOT
            yield run_updates(f"run-{points}", _LOT, 1, begin)
        else:
            name = f"run-{points}-{number}-{lot}"
            _log(connections, ours, name, points)
            yield run_updates(name, _LOT, 1, points)


def _measure_round(
    rig: Rig, connections: Connections, ours: Pipeline, updates: list[bytes], cost: _Costs
) -> None:
    pids = (pid_of(ours.worker), pid_of(rig.database))
    began, began_cpu_s = time.perf_counter(), sum(map(cpu_s, pids))
    connections.send_all(iter(updates))
    ours.await_drained(_POLL_S)
    cost.time_us.append(1e6 * (time.perf_counter() - began) / _UPDATES)
    cost.cpu_us.append(1e6 * (sum(map(cpu_s, pids)) - began_cpu_s) / _UPDATES)


def _report_updates(rig: Rig, costs: dict[int, _Costs]) -> None:
    report, least = rig.report, costs[_SIZES[0]]
    for points, cost in costs.items():
        of = f"an update to a run of {points:,} points"
        report.add(f"long.time-{points}", f"{of}: time", "µs", cost.time_us)
        report.add(f"long.cpu-{points}", f"{of}: CPU", "µs", cost.cpu_us)
    for points in _SIZES[1:]:
        of = f"{points:,} points ÷ {_SIZES[0]:,}"
        long = costs[points]
        report.compare(f"long.time-{points}-of-1000", f"{of}: time", long.time_us, least.time_us)
        report.compare(f"long.cpu-{points}-of-1000", f"{of}: CPU", long.cpu_us, least.cpu_us)


def _measure_reads(rig: Rig, gateway: Gateway) -> None:
    first_s: list[float] = []
    total_s: list[float] = []
    grown_mb: list[float] = []
    points = 0
    reads = rig.rounds(_READS)
    for number in range(reads):
        rig.say(f"long: reading the longest, {number + 1} of {reads}")
        pid = pid_of(gateway)
        forget_peak(pid)
        before = resident_mb(pid)
        began = time.perf_counter()
        first, points = _read(gateway.port, f"run-{_SIZES[-1]}")
        total_s.append(time.perf_counter() - began)
        first_s.append(first - began)
        grown_mb.append(peak_mb(pid) - before)
    if points < _SIZES[-1]:
        raise BenchError(f"a run of {_SIZES[-1]} points was answered with {points}")
    report, of = rig.report, "GET of a million points"
    report.add("long.read-first", f"{of}: first byte", "s", first_s)
    report.add("long.read-total", f"{of}: all of it", "s", total_s)
    report.add("long.read-rate", f"{of}: points", "/s", [points / one for one in total_s])
    report.add("long.read-memory", f"{of}: the gateway's memory grew by", "MB", grown_mb)


def _read(port: int, name: str) -> tuple[float, int]:
    """Query a run's metrics; return when the first byte came, and how many points did."""
    request = (
        f"GET /v2/lm/metrics?executionIds={name}&$select=metrics HTTP/1.1\r\n"
        f"Host: localhost\r\nAI-Resource-Group: {RESOURCE_GROUP}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((LOOPBACK, port), timeout=_READ_TIMEOUT_S) as connection:
        connection.sendall(request.encode())
        rest = connection.recv(_CHUNK_BYTES)
        first = time.perf_counter()
        if not rest.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"a GET was answered {rest[:200]!r}")
        points = 0
        while True:
            # What may be the beginning of the next is counted with what follows.
            points += rest.count(_OF_A_POINT)
            tail = rest[-len(_OF_A_POINT) + 1 :]
            chunk = connection.recv(_CHUNK_BYTES)
            if not chunk:
                return first, points
            rest = tail + chunk
