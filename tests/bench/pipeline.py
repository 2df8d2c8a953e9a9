"""The product as most sections measure it: one gateway, one worker, and what they must keep to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.bodies import Mix
from tests.bench.pace import hold
from tests.bench.rig import BenchError, Rig, accepted, await_that, stored
from tests.harness.services import Gateway, Site, Worker

# By so much more or less may wait in the end than in the beginning, as a share of what was stored.
_MAX_GROWTH = 0.1
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A gateway and a worker, new and ready."""

    site: Site
    gateway: Gateway
    worker: Worker

    @property
    def url(self) -> str:
        """Where updates are sent."""
        return f"{self.gateway.url}/lm/metrics"

    def steady(self, rig: Rig, mix: Mix, warm_up_s: float, measured_s: float) -> float:
        """Return the highest rate at which the queue does not grow; it is empty afterwards."""
        times = (warm_up_s, measured_s)
        return steady(rig, self.url, mix, lambda: stored(self.worker), self.await_drained, times)

    def await_drained(self, poll_s: float = 0.05) -> None:
        """Wait until all that was accepted is stored, and check that it is no more than that."""

        def is_drained() -> bool:
            # In this order: what generators leave behind is still being accepted.
            are_stored = stored(self.worker)
            were_accepted = accepted(self.gateway)
            if are_stored > were_accepted:
                raise BenchError(f"{were_accepted} updates were accepted and {are_stored} stored")
            return are_stored == were_accepted

        await_that(is_drained, "the queue was not drained in time", poll_s)


@contextmanager
def pipeline(rig: Rig, name: str) -> Iterator[Pipeline]:
    """Start a gateway and a worker on a site of their own."""
    with rig.site(name) as site:
        ours = Pipeline(site, site.gateway(), site.worker())
        ours.gateway.start()
        ours.worker.start()
        yield ours


def steady(
    rig: Rig,
    url: str,
    mix: Mix,
    count: Callable[[], int],
    await_drained: Callable[[], None],
    times: tuple[float, float],
) -> float:
    """Return the highest rate of updates to a URL at which what is not yet stored does not grow.

    `times` are seconds of warming up and of measuring. All is stored afterwards. A round in which
    the machine stalled, so that the pace was lost, is repeated, and remarked on if that is in vain.
    """
    warm_up_s, measured_s = times
    attempt = 1
    while True:
        found = hold(rig.load(url, mix, warm_up_s + measured_s), count, warm_up_s)
        rig.noted(found.load)
        await_drained()
        if abs(found.growth) <= _MAX_GROWTH:
            return found.rate
        if attempt == _ATTEMPTS:
            share = f"{found.growth:+.0%}"
            rig.report.remark(f"{mix}: the pace was not steady, {share} waited in the end")
            return found.rate
        attempt += 1
