"""Updates stored per second, end to end, against the textbook's pipeline and a direct write.

Ours and the textbook's are measured at the highest rate at which the queue does not grow: see
`pace`. Executions are new in every round, which favours the textbook: its documents stay small.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.bodies import Mix
from tests.bench.pace import Steady, hold
from tests.bench.rig import BenchError, Counts, Program, Rig, accepted, await_drained, stored
from tests.bench.textbook import COLLECTION
from tests.harness.services import Gateway, Site, Worker

TITLE = "End to end, updates stored"
# Whether the textbook is measured, too. A hot execution is soon too large for its document.
MIXES = (
    (Mix(1), True),
    (Mix(10), True),
    (Mix(100), False),
    (Mix(1, 1), False),
    (Mix(10, 1), False),
)
_WARM_UP_S = 3.0
_ROUND_S = 5.0
_DIRECT_S = 3.0
_ROUNDS = 3
# The queue grew, or the load was not enough, beyond this share.
_MAX_GROWTH = 0.1


@dataclass(slots=True)
class _Pipelines:
    """Everything that is measured, started."""

    site: Site
    gateway: Gateway
    worker: Worker
    textbook: Program
    counts: Counts
    direct: Program


def measure(rig: Rig) -> None:
    """Measure all mixes."""
    with (
        rig.site("stored") as site,
        rig.handler("textbook", site) as textbook,
        rig.consumer(site) as counts,
        rig.handler("direct", site) as direct,
    ):
        gateway, worker = site.gateway(), site.worker()
        gateway.start()
        worker.start()
        pipelines = _Pipelines(site, gateway, worker, textbook, counts, direct)
        for mix, with_peers in MIXES:
            _measure_mix(rig, pipelines, mix, with_peers=with_peers)
    rig.remark_on_generator("stored")


def _measure_mix(rig: Rig, pipelines: _Pipelines, mix: Mix, *, with_peers: bool) -> None:
    ours: list[float] = []
    textbook: list[float] = []
    direct: list[float] = []
    rounds = rig.rounds(_ROUNDS if with_peers else _ROUNDS - 1)
    for number in range(rounds):
        rig.say(f"stored: {mix}, round {number + 1} of {rounds}")
        ours.append(_measure_ours(rig, pipelines, mix))
        if with_peers:
            textbook.append(_measure_textbook(rig, pipelines, mix))
            direct.append(_measure_direct(rig, pipelines, mix))
    report, head, of = rig.report, f"stored.{mix.key}", f"{mix}"
    report.add(f"{head}.rate", f"{of}: stored", "/s", ours)
    if with_peers:
        report.add(f"{head}.textbook", f"{of}: textbook pipeline", "/s", textbook)
        report.add(f"{head}.direct", f"{of}: straight into MongoDB", "/s", direct)
        report.compare(f"{head}.of-textbook", f"{of}: stored ÷ textbook", ours, textbook)
        report.compare(f"{head}.of-direct", f"{of}: stored ÷ straight", ours, direct)


def _measure_ours(rig: Rig, pipelines: _Pipelines, mix: Mix) -> float:
    gateway, worker = pipelines.gateway, pipelines.worker
    url = f"{gateway.url}/lm/metrics"
    points = _points(rig, pipelines.site)
    before = accepted(gateway)
    steady = _hold(rig, mix, url, lambda: stored(worker))
    await_drained(gateway, worker)
    new = (accepted(gateway) - before) * mix.metrics
    if _points(rig, pipelines.site) - points != new:
        raise BenchError(f"not all of {new} points are in the database")
    return steady.rate


def _measure_textbook(rig: Rig, pipelines: _Pipelines, mix: Mix) -> float:
    counts = pipelines.counts
    before = counts.value
    steady = _hold(rig, mix, pipelines.textbook.url, lambda: counts.value)
    rig.await_still(lambda: counts.value)
    _check_documents(rig, pipelines.site, mix, counts.value - before, steady.load.requests)
    return steady.rate


def _measure_direct(rig: Rig, pipelines: _Pipelines, mix: Mix) -> float:
    result = rig.loaded(pipelines.direct.url, mix, rig.seconds(_DIRECT_S))
    rig.await_still(lambda: _pushed(rig, pipelines.site))
    count = _pushed(rig, pipelines.site) // mix.metrics
    _check_documents(rig, pipelines.site, mix, count, result.requests)
    return result.rate


def _hold(rig: Rig, mix: Mix, url: str, count: Callable[[], int]) -> Steady:
    warm_up_s = rig.seconds(_WARM_UP_S)
    load = rig.load(url, mix, warm_up_s + rig.seconds(_ROUND_S))
    steady = hold(load, count, warm_up_s)
    rig.noted(steady.load)
    if abs(steady.growth) > _MAX_GROWTH:
        share = f"{steady.growth:+.0%}"
        rig.report.remark(f"stored: {mix}: the pace was not steady, {share} were waiting")
    return steady


def _points(rig: Rig, site: Site) -> int:
    """Count the points in the product's segments."""
    return rig.sum_of(site, "metric_segments", "$points")


def _pushed(rig: Rig, site: Site) -> int:
    """Count the points in the documents of textbook or direct writes."""
    return rig.sum_of(site, COLLECTION, {"$size": "$metrics"})


def _check_documents(rig: Rig, site: Site, mix: Mix, count: int, answered: int) -> None:
    """Check that all that was answered was stored, and forget it: the next round begins anew."""
    pushed = _pushed(rig, site)
    if pushed != count * mix.metrics or count < answered:
        raise BenchError(f"{answered} updates were answered, {count} and {pushed} points stored")
    with rig.mongo(site.database_name) as database:
        database[COLLECTION].delete_many({})
