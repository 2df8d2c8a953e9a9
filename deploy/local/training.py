"""A simulated training run: what a model that learns would report, the same at every call."""

import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

_SECONDS_PER_STEP = 0.5
_TICKS = "▁▂▃▄▅▆▇█"


def updates(execution_id: str, steps: int) -> Iterator[dict[str, Any]]:
    """Yield one MetricResource a step; the last one also carries tags and custom info."""
    noise = random.Random(steps)  # noqa: S311 - to look like measurements, not a secret
    began = datetime.now(UTC) - timedelta(seconds=steps * _SECONDS_PER_STEP)
    for step in range(steps):
        progress = step / steps
        values = {
            "loss": 0.08 + 2.2 * math.exp(-5 * progress) * (1 + 0.05 * noise.gauss()),
            "accuracy": min(1.0, 0.97 - 0.87 * math.exp(-6 * progress) + 0.004 * noise.gauss()),
            "learning_rate": 0.0005 * (1 + math.cos(math.pi * progress)),
        }
        moment = began + timedelta(seconds=step * _SECONDS_PER_STEP)
        timestamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        update: dict[str, Any] = {
            "executionId": execution_id,
            "metrics": [
                {"name": name, "value": round(value, 9), "timestamp": timestamp, "step": step}
                for name, value in values.items()
            ],
        }
        if step == steps - 1:
            update["tags"] = [{"name": "model", "value": "simulated"}]
            update["customInfo"] = [{"name": "hyperparameters", "value": '{"batch_size": 64}'}]
        yield update


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Draw the course of the values as one line of blocks, each the mean of its share."""
    width = min(width, len(values))
    bounds = [len(values) * column // width for column in range(width + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(bounds)]
    low, high = min(means), max(means)
    scale = (len(_TICKS) - 1) / ((high - low) or 1)
    return "".join(_TICKS[round((mean - low) * scale)] for mean in means)
