"""How long an answer takes, and how long it takes until an update is visible.

At half the rate at which the queue does not grow, by a fixed schedule (see tests/bench/latency.py),
and at saturation, where 64 connections send as fast as they are answered. Meanwhile, at half the
rate, a process of its own probes how long after its 204 an update is in the database.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, repeat

from tests.bench.arithmetic import percentile
from tests.bench.bodies import Mix, run_updates
from tests.bench.latency import Connections
from tests.bench.pipeline import Pipeline, pipeline
from tests.bench.rig import BenchError, Rig
from tests.harness.services import ROOT

TITLE = "Latency"
MIXES = (Mix(1), Mix(10), Mix(10, 1))
_WARM_UP_S = 3.0
_FIND_S = 3.0
_ROUND_S = 6.0
_ROUNDS = 2
_TIMEOUT_S = 60


@dataclass(slots=True)
class _Times:
    """Milliseconds of each round, by percentile."""

    answer: dict[int, list[float]] = field(default_factory=lambda: {50: [], 99: []})
    visible: dict[int, list[float]] = field(default_factory=lambda: {50: [], 99: []})
    saturated: dict[int, list[float]] = field(default_factory=lambda: {50: [], 99: []})
    # Of a core, that the client at half the rate takes: it is not wrk, and shares the machine.
    client_shares: list[float] = field(default_factory=list)


def measure(rig: Rig) -> None:
    """Measure all mixes."""
    with pipeline(rig, "latency") as ours:
        for mix in MIXES:
            rig.say(f"latency: {mix}, finding the rate")
            rate = ours.steady(rig, mix, _WARM_UP_S, rig.seconds(_FIND_S)) / 2
            times = _Times()
            rounds = rig.rounds(_ROUNDS)
            for number in range(rounds):
                rig.say(f"latency: {mix}, {rate:,.0f}/s, round {number + 1} of {rounds}")
                _measure_half(rig, ours, mix, rate, times)
                ours.await_drained()
                result = rig.loaded(ours.url, mix, rig.seconds(_ROUND_S))
                times.saturated[50].append(result.p50_ms)
                times.saturated[99].append(result.p99_ms)
                ours.await_drained()
            _report(rig, mix, rate, times)


def _measure_half(rig: Rig, ours: Pipeline, mix: Mix, rate: float, times: _Times) -> None:
    seconds = rig.seconds(_ROUND_S)
    updates = list(islice(_updates(mix), round(rate * seconds)))
    command = [sys.executable, "-m", "tests.bench.visibility", str(ours.gateway.port)]
    environment = os.environ | ours.site.environment | {"PYTHONPATH": str(ROOT)}
    with (
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as probing,
        Connections(ours.gateway.port) as connections,
    ):
        began, began_cpu = time.monotonic(), time.process_time()
        connections.send_all(iter(updates), rate)
        share = (time.process_time() - began_cpu) / (time.monotonic() - began)
        output, _ = probing.communicate(timeout=_TIMEOUT_S)
    if probing.returncode:
        raise BenchError("the probe of visibility failed")
    times.client_shares.append(share)
    for percent in (50, 99):
        times.answer[percent].append(1000 * percentile(connections.latencies_s, percent))
        times.visible[percent].append(1000 * percentile(json.loads(output), percent))


def _updates(mix: Mix) -> Iterator[bytes]:
    """Yield updates of all executions in turn, without end."""
    serial = f"{time.monotonic_ns():x}"
    for number in chain.from_iterable(repeat(range(mix.executions))):
        yield next(run_updates(f"l{serial}-{number}", mix.metrics, mix.metrics))


def _report(rig: Rig, mix: Mix, rate: float, times: _Times) -> None:
    report, head = rig.report, f"latency.{mix.key}"
    report.add(f"{head}.rate", f"{mix}: half the rate", "/s", [rate])
    rows = {
        "answer": (times.answer, "answer at half the rate"),
        "visible": (times.visible, "from 204 to visible"),
        "saturated": (times.saturated, "answer at saturation"),
    }
    for name, (by_percent, what) in rows.items():
        for percent, milliseconds in by_percent.items():
            key = f"{head}.{name}-p{percent}"
            report.add(key, f"{mix}: {what}, p{percent}", "ms", milliseconds)
    what = f"{mix}: the client at half the rate, of a core"
    report.add(f"{head}.client", what, "", times.client_shares)
