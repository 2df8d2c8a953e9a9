"""Bodies of updates as training jobs send them: values that look real, and differ.

A prepared body has marks where the generator writes what makes every request another one: the
number of the update in its steps, and the execution. Both have a fixed width, so that a body's
length is known. A point has some 208 bytes, as in the design.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Neither can stand in JSON.
UPDATE_MARK = "\x01"
EXECUTION_MARK = "\x02"
RESOURCE_GROUP = "bench"

_NAMES = (
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
_POINT_BYTES = 210


@dataclass(frozen=True, slots=True)
class Mix:
    """What a load is made of: metrics in an update, and how many executions share the updates."""

    metrics: int
    executions: int = 1000

    def __str__(self) -> str:
        """Name it, for figures."""
        return f"{self.metrics}" if self.executions > 1 else f"{self.metrics}, one hot execution"

    @property
    def key(self) -> str:
        """Name it, for the keys of figures."""
        return f"{self.metrics}" if self.executions > 1 else f"{self.metrics}-hot"

    def prepared(self) -> Iterator[str]:
        """Yield prepared bodies, always the same."""
        source = random.Random(self.metrics)  # noqa: S311 - no secret
        count = min(_MAX_BODIES, _MAX_FILE_BYTES // (_POINT_BYTES * self.metrics))
        for number in range(count):
            steps = range(-(-self.metrics // len(_NAMES)))
            points = [
                _point(source, name, f"{UPDATE_MARK}{step:02}", number)
                for step in steps
                for name in _NAMES
            ]
            yield body(EXECUTION_MARK, points[: self.metrics])


def body(execution_id: str, points: list[str]) -> str:
    """Return an update as JSON."""
    return '{"executionId":"%s","metrics":[%s]}' % (execution_id, ",".join(points))  # noqa: UP031


def run_points(source: random.Random, begin: int, count: int) -> list[str]:
    """Return the points of a run that logs one name a step, as JSON, from a step on."""
    return [_point(source, "loss", f"{step:07}", step) for step in range(begin, begin + count)]


def _point(source: random.Random, name: str, step: str, seconds: int) -> str:
    at = _BEGIN + timedelta(seconds=seconds, milliseconds=source.randrange(1000))
    timestamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    step = step if step.startswith(UPDATE_MARK) else str(int(step))
    return (
        f'{{"name":"{name}","value":{source.random()},"timestamp":"{timestamp}",'
        f'"step":{step},"labels":{_LABELS}}}'
    )


def write_bodies(mix: Mix) -> str:
    """Return the file of prepared bodies that the generator reads: one a line."""
    return "\n".join(mix.prepared()) + "\n"
