"""Bodies of updates as training jobs send them: values that look real, and differ.

A prepared body has marks where the generator writes what makes every request another one: the
number of the update in its steps, and the execution. Both have a fixed width, so that a body's
length is known. A point has some 208 bytes, as in the design.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

# Neither can stand in JSON.
UPDATE_MARK = "\x01"
EXECUTION_MARK = "\x02"
RESOURCE_GROUP = "bench"
# What the design's figures take for a point's JSON.
POINT_BYTES = 208
NAMES = (
    "loss", "accuracy", "val_loss", "val_acc", "grad_norm",
    "lr", "f1", "precision", "recall", "auc",
)  # fmt: skip

_LABELS = (
    '[{"name":"group","value":"tree-82"},'
    '{"name":"metrics.ai.sap.com/Artifact.name","value":"my_model_name"}]'
)
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
# A file of bodies is read by the generator as a whole.
_MAX_FILE_BYTES = 24_000_000
_MAX_BODIES = 1000


@dataclass(frozen=True, slots=True)
class Mix:
    """What a load is made of: metrics in an update, and how many executions share the updates."""

    metrics: int
    executions: int = 1000

    def __str__(self) -> str:
        """Name it, for people."""
        metrics = f"{self.metrics} metric{'s' if self.metrics > 1 else ''}"
        return metrics if self.executions > 1 else f"{metrics}, one hot execution"

    @property
    def key(self) -> str:
        """Name it, for the keys of figures."""
        return f"{self.metrics}" if self.executions > 1 else f"{self.metrics}-hot"


@dataclass(frozen=True, slots=True)
class Format:
    """A request's line and headers, and how its body is written.

    `body` takes an execution and points, `point` a source of values, a name, a step and the
    milliseconds since the run began.
    """

    name: str
    head: tuple[str, ...]
    body: Callable[[str, list[str]], str]
    point: Callable[[random.Random, str, str, int], str]

    def prepared(self, mix: Mix) -> Iterator[str]:
        """Yield prepared bodies, always the same."""
        source = random.Random(mix.metrics)  # noqa: S311 - no secret
        count = min(_MAX_BODIES, _MAX_FILE_BYTES // (POINT_BYTES * mix.metrics))
        for number in range(count):
            steps = (f"{UPDATE_MARK}{step:02}" for step in itertools.count())
            points = self.points(source, steps, number)
            yield self.body(EXECUTION_MARK, list(islice(points, mix.metrics)))

    def points(
        self, source: random.Random, steps: Iterator[str], first_second: int
    ) -> Iterator[str]:
        """Yield points without end: at each step, about a second apart, one of every name."""
        for second, step in enumerate(steps, start=first_second):
            at_ms = 1000 * second + source.randrange(1000)
            for name in NAMES:
                yield self.point(source, name, step, at_ms)


def run_updates(execution_id: str, points: int, metrics: int, begin: int = 0) -> Iterator[bytes]:
    """Yield the updates of a run from a point on, with so many metrics at a time."""
    source = random.Random(f"{execution_id} {begin}")  # noqa: S311 - no secret
    first_step, skipped = divmod(begin, len(NAMES))
    steps = map(str, itertools.count(first_step))
    logged = islice(PATCH.points(source, steps, first_step), skipped, skipped + points)
    while some := list(islice(logged, metrics)):
        yield _update(execution_id, some).encode()


def _update(execution_id: str, points: list[str]) -> str:
    return f'{{"executionId":"{execution_id}","metrics":[{",".join(points)}]}}'


def _point(source: random.Random, name: str, step: str, at_ms: int) -> str:
    at = _BEGIN + timedelta(milliseconds=at_ms)
    timestamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (
        f'{{"name":"{name}","value":{source.random()},"timestamp":"{timestamp}",'
        f'"step":{step},"labels":{_LABELS}}}'
    )


PATCH = Format(
    "patch",
    (
        "PATCH /v2/lm/metrics HTTP/1.1",
        "Host: localhost",
        f"AI-Resource-Group: {RESOURCE_GROUP}",
        "Content-Type: application/json",
    ),
    _update,
    _point,
)
