"""What is to be reached, by the keys of figures: ratios within one run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure should keep to."""

    bound: float
    at_most: bool = False

    def reached(self, value: float) -> bool:
        """Tell whether a figure is good enough."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        """Write it as a table does."""
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


TARGETS = {
    "gateway.1.of-validating": Target(0.75),
    "gateway.10.of-validating": Target(0.65),
    "gateway.100.of-validating": Target(0.4),
    "stored.1.of-textbook": Target(8),
    "stored.10.of-textbook": Target(6),
    "mlflow.10.ratio": Target(80),
    "drain.1.of-insert": Target(0.6),
    "drain.10.of-insert": Target(0.6),
    "drain.100.of-insert": Target(0.6),
    "drain.1.two-of-one": Target(1.7),
    "drain.10.two-of-one": Target(1.7),
    "drain.100.two-of-one": Target(1.7),
    "long.time-1000000-of-1000": Target(1.1, at_most=True),
    "long.cpu-1000000-of-1000": Target(1.1, at_most=True),
    "storage.1.compacted-of-json": Target(0.1, at_most=True),
    "storage.10.compacted-of-json": Target(0.1, at_most=True),
    "storage.1000.compacted-of-json": Target(0.1, at_most=True),
    "memory.gateway-200-kb": Target(200, at_most=True),
}
