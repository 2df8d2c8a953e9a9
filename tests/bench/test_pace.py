"""The pace, on a simulated pipeline: no load, no time."""

import pytest

from tests.bench.pace import FIRST_RATE, POLL_S, Pace

_WARM_UP_S = 3.0
_MEASURED_S = 5.0


class _Pipeline:
    """Stores up to so many updates per second, a batch at a time."""

    def __init__(self, capacity: float, batch_s: float) -> None:
        self.sent = 0.0
        self.stored = 0.0
        self._capacity = capacity
        self._batch_s = batch_s
        self._since_batch_s = 0.0

    def run(self, rate: float, seconds: float) -> None:
        self.sent += rate * seconds
        self._since_batch_s += seconds
        if self._since_batch_s >= self._batch_s:
            most = self._capacity * self._since_batch_s
            self.stored = min(self.sent, self.stored + most)
            self._since_batch_s = 0.0


@pytest.mark.parametrize("capacity", [300, 1_000, 8_000, 20_000])
@pytest.mark.parametrize("batch_s", [0.01, 0.1])
def test_the_pace_finds_what_can_be_stored_and_lets_little_wait(
    capacity: float, batch_s: float
) -> None:
    pipeline = _Pipeline(capacity, batch_s)
    pace = Pace()
    rate = FIRST_RATE
    at_warm = (0.0, 0.0)
    polls = round((_WARM_UP_S + _MEASURED_S) / POLL_S)
    for poll in range(1, polls + 1):
        for _ in range(10):
            pipeline.run(rate, POLL_S / 10)
        rate = pace.next(poll * POLL_S, round(pipeline.stored), round(pipeline.sent))
        if poll * POLL_S <= _WARM_UP_S:
            at_warm = (pipeline.stored, pipeline.sent)
    stored = pipeline.stored - at_warm[0]
    assert stored / _MEASURED_S == pytest.approx(capacity, rel=0.1)
    assert pipeline.sent - pipeline.stored < 1_000 + 0.7 * capacity
    assert abs((pipeline.sent - at_warm[1]) / stored - 1) < 0.25
