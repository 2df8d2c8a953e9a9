"""The pace, on a simulated pipeline: no load, no time."""

import pytest

from tests.bench.pace import FIRST_RATE, POLL_S, Pace

_WARM_UP_S = 3.0
_MEASURED_S = 5.0


class _Pipeline:
    """Stores up to so many updates per second, a batch at a time, once it has begun."""

    def __init__(self, capacity: float, batch_s: float, begins_s: float = 0.0) -> None:
        self.sent = 0.0
        self.stored = 0.0
        self._capacity = capacity
        self._batch_s = batch_s
        self._since_batch_s = -begins_s

    def run(self, rate: float, seconds: float) -> None:
        self.sent += rate * seconds
        self._since_batch_s += seconds
        if self._since_batch_s >= self._batch_s:
            most = self._capacity * self._since_batch_s
            self.stored = min(self.sent, self.stored + most)
            self._since_batch_s = 0.0


def _paced(pipeline: _Pipeline) -> tuple[float, float]:
    """Pace a pipeline; return what is stored per second after the warm-up, and sent."""
    pace = Pace()
    rate = FIRST_RATE
    at_warm = (0.0, 0.0)
    for poll in range(1, round((_WARM_UP_S + _MEASURED_S) / POLL_S) + 1):
        for _ in range(10):
            pipeline.run(rate, POLL_S / 10)
        rate = pace.next(poll * POLL_S, round(pipeline.stored), round(pipeline.sent))
        if poll * POLL_S <= _WARM_UP_S:
            at_warm = (pipeline.stored, pipeline.sent)
    stored, sent = pipeline.stored - at_warm[0], pipeline.sent - at_warm[1]
    return stored / _MEASURED_S, sent / _MEASURED_S


@pytest.mark.parametrize(
    ("capacity", "batch_s"),
    [(300, 0.05), (1_000, 0.02), (1_000, 0.4), (8_000, 0.05), (8_000, 0.2), (20_000, 0.05)],
)
def test_the_pace_finds_what_can_be_stored_and_lets_little_wait(
    capacity: float, batch_s: float
) -> None:
    pipeline = _Pipeline(capacity, batch_s)
    stored, sent = _paced(pipeline)
    assert stored == pytest.approx(capacity, rel=0.1)
    assert sent == pytest.approx(capacity, rel=0.15)
    assert pipeline.sent - pipeline.stored < 1_000 + capacity


def test_the_pace_waits_for_a_worker_that_begins_late() -> None:
    pipeline = _Pipeline(1_000, 0.1, begins_s=1.5)
    stored, sent = _paced(pipeline)
    assert stored == pytest.approx(1_000, rel=0.1)
    assert sent == pytest.approx(1_000, rel=0.15)
