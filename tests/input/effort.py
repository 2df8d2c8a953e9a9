"""How much is tried: a short run, always the same, in the suite; a long one in `make fuzz`."""

import os

from hypothesis import HealthCheck, settings

# Set by `make fuzz`: how long it may take. Then every run is another.
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))


def effort(share: float = 1.0) -> settings:
    """Return the settings of a property that is worth this share of the examples."""
    return settings(
        deadline=None,  # a busy machine is no counterexample
        max_examples=max(3, int(share * (50 + 5 * FUZZ_SECONDS))),
        derandomize=not FUZZ_SECONDS,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
