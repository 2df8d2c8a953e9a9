"""The sections of the bench, in the order in which they run."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.rig import Rig
from tests.bench.sections import drain, gateway, latency, long, memory, storage, stored


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the bench that can be run alone."""

    name: str
    title: str
    measure: Callable[[Rig], None]


SECTIONS = tuple(
    Section(module.__name__.rpartition(".")[2], module.TITLE, module.measure)
    for module in (gateway, stored, drain, latency, memory, storage, long)
)
