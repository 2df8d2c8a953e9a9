"""What a profile says: collapsed stacks, one a line, `outer;inner;innermost count`."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """Samples by function: those it was running in, and those it was running or waited for."""

    own: Counter[str]
    inclusive: Counter[str]
    samples: int

    def top(self, counts: Counter[str], number: int) -> list[tuple[str, float]]:
        """Return the functions with most samples, with their share of all."""
        return [(name, count / self.samples) for name, count in counts.most_common(number)]


def read_stacks(text: str) -> Profile:
    """Read collapsed stacks. A function that calls itself counts once for each sample."""
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    samples = 0
    for line in text.splitlines():
        stack, _, number = line.rpartition(" ")
        if not stack:
            continue
        count = int(number)
        frames = stack.split(";")
        own[frames[-1]] += count
        for frame in set(frames):
            inclusive[frame] += count
        samples += count
    return Profile(own, inclusive, samples)
