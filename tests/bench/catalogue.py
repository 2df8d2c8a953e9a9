"""The sections of the bench, in the order in which they run."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.rig import Rig
from tests.bench.sections import drain, gateway, latency, long, memory, mlflow, storage, stored


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the bench that can be run alone. Unusual ones must be asked for."""

    name: str
    title: str
    measure: Callable[[Rig], None]
    usual: bool = True


SECTIONS = (
    Section("gateway", gateway.TITLE, gateway.measure),
    Section("stored", stored.TITLE, stored.measure),
    Section("drain", drain.TITLE, drain.measure),
    Section("latency", latency.TITLE, latency.measure),
    Section("memory", memory.TITLE, memory.measure),
    Section("storage", storage.TITLE, storage.measure),
    Section("long", long.TITLE, long.measure),
    # It needs MLflow, which `make bench-peers` installs.
    Section("mlflow", mlflow.TITLE, mlflow.measure, usual=False),
)
