"""Updates stored per second, end to end, against the textbook's pipeline and a direct write.

Ours and the textbook's are measured at the highest rate at which the queue does not grow: see
`pace`. Executions are new in every round, which favours the textbook: its documents stay small.
"""

from dataclasses import dataclass, field
from functools import partial

from ingest.contract.documents import SEGMENTS
from tests.bench.bodies import Mix
from tests.bench.pipeline import Pipeline, pipeline, steady
from tests.bench.programs import Counts, Program
from tests.bench.rig import BenchError, Rig, accepted, await_still
from tests.bench.textbook import COLLECTION
from tests.harness.services import Site

TITLE = "End to end, updates stored"
# Whether the textbook is measured, too. A hot execution is soon too large for its document.
MIXES = (
    (Mix(1), True),
    (Mix(10), True),
    (Mix(100), True),
    (Mix(1000), False),
    (Mix(1, 1), False),
    (Mix(10, 1), False),
)
_WARM_UP_S = 3.0
_ROUND_S = 5.0
_DIRECT_S = 3.0
_ROUNDS = 3


@dataclass(slots=True)
class _Rates:
    """Updates stored per second, of each round."""

    ours: list[float] = field(default_factory=list)
    textbook: list[float] = field(default_factory=list)
    direct: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Peers:
    """What ours is compared with, started."""

    textbook: Program
    counts: Counts
    direct: Program


def measure(rig: Rig) -> None:
    """Measure all mixes."""
    with (
        pipeline(rig, "stored") as ours,
        rig.handler("textbook", ours.site) as textbook,
        rig.consumer(ours.site) as counts,
        rig.handler("direct", ours.site) as direct,
    ):
        peers = _Peers(textbook, counts, direct)
        for mix, with_peers in MIXES:
            rates = _Rates()
            rounds = rig.rounds(_ROUNDS if with_peers else _ROUNDS - 1)
            for number in range(rounds):
                rig.say(f"stored: {mix}, round {number + 1} of {rounds}")
                rates.ours.append(_measure_ours(rig, ours, mix))
                if with_peers:
                    rates.textbook.append(_measure_textbook(rig, ours.site, peers, mix))
                    rates.direct.append(_measure_direct(rig, ours.site, peers, mix))
            _report(rig, mix, rates)


def _measure_ours(rig: Rig, ours: Pipeline, mix: Mix) -> float:
    points, before = _points(rig, ours.site), accepted(ours.gateway)
    rate = ours.steady(rig, mix, _WARM_UP_S, rig.seconds(_ROUND_S))
    # Large bodies that the generator left behind take their time.
    await_still(lambda: accepted(ours.gateway))
    ours.await_drained()
    new = (accepted(ours.gateway) - before) * mix.metrics
    found = _points(rig, ours.site) - points
    if found != new:
        raise BenchError(f"{new} points were accepted, and {found} are in the database")
    return rate


def _measure_textbook(rig: Rig, site: Site, peers: _Peers, mix: Mix) -> float:
    counts = peers.counts
    before = counts.value
    times = (_WARM_UP_S, rig.seconds(_ROUND_S))
    drained = partial(await_still, lambda: counts.value)
    rate = steady(rig, peers.textbook.url, mix, lambda: counts.value, drained, times)
    _check_documents(rig, site, mix, counts.value - before)
    return rate


def _measure_direct(rig: Rig, site: Site, peers: _Peers, mix: Mix) -> float:
    result = rig.loaded(peers.direct.url, mix, rig.seconds(_DIRECT_S))
    await_still(lambda: _pushed(rig, site))
    if _pushed(rig, site) < result.requests * mix.metrics:
        raise BenchError("not all that was answered is in the database")
    _check_documents(rig, site, mix, _pushed(rig, site) // mix.metrics)
    return result.rate


def _points(rig: Rig, site: Site) -> int:
    """Count the points in the product's segments."""
    return rig.sum_of(site, SEGMENTS, "$points")


def _pushed(rig: Rig, site: Site) -> int:
    """Count the points in the documents of textbook or direct writes."""
    return rig.sum_of(site, COLLECTION, {"$size": "$metrics"})


def _check_documents(rig: Rig, site: Site, mix: Mix, updates: int) -> None:
    """Check that so many updates are stored, and forget them: the next round begins anew."""
    pushed = _pushed(rig, site)
    if pushed != updates * mix.metrics:
        raise BenchError(f"{updates} updates should be stored, but {pushed} points are")
    with rig.mongo(site.database_name) as database:
        database[COLLECTION].delete_many({})


def _report(rig: Rig, mix: Mix, rates: _Rates) -> None:
    report, head = rig.report, f"stored.{mix.key}"
    report.add(f"{head}.rate", f"{mix}: stored", "/s", rates.ours)
    if rates.textbook:
        report.add(f"{head}.textbook", f"{mix}: textbook pipeline", "/s", rates.textbook)
        report.add(f"{head}.direct", f"{mix}: straight into MongoDB", "/s", rates.direct)
        what = f"{mix}: stored ÷ textbook"
        report.compare(f"{head}.of-textbook", what, rates.ours, rates.textbook)
        report.compare(f"{head}.of-direct", f"{mix}: stored ÷ straight", rates.ours, rates.direct)
