"""The most memory that each process has resident under load.

Gateway and worker are new; the servers have done all that the bench did before. Then, with a new
gateway, bodies of some 200 KB.
"""

from tests.bench.bodies import Mix
from tests.bench.pipeline import pipeline
from tests.bench.rig import CACHE_GB, Rig, pid_of
from tests.bench.usage import forget_peak, peak_mb

TITLE = "Memory, the most that was resident"
_ROUND_S = 6.0
_USUAL = Mix(10)
_LARGE = Mix(1000)


def measure(rig: Rig) -> None:
    """Measure usual updates, then large ones."""
    peaks = _peaks(rig, _USUAL)
    for name, what in (
        ("gateway", "gateway"),
        ("worker", "worker"),
        ("rabbitmq", "RabbitMQ"),
        ("mongodb", f"MongoDB, with a cache of {CACHE_GB:g} GB"),
    ):
        rig.report.add(f"memory.{name}", f"{_USUAL}: {what}", "MB", [peaks[name]])
    peaks = _peaks(rig, _LARGE)
    rig.report.add("memory.gateway-200-kb", f"{_LARGE}: gateway", "MB", [peaks["gateway"]])
    rig.report.add("memory.worker-200-kb", f"{_LARGE}: worker", "MB", [peaks["worker"]])


def _peaks(rig: Rig, mix: Mix) -> dict[str, float]:
    """Load a new gateway with a new worker behind it; return each process's peak in MB."""
    rig.say(f"memory: {mix}")
    with pipeline(rig, "memory") as ours:
        pids = {
            "gateway": pid_of(ours.gateway),
            "worker": pid_of(ours.worker),
            "rabbitmq": pid_of(rig.broker),
            "mongodb": pid_of(rig.database),
        }
        for pid in pids.values():
            forget_peak(pid)
        rig.loaded(ours.url, mix, rig.seconds(_ROUND_S))
        ours.await_drained()
        return {name: peak_mb(pid) for name, pid in pids.items()}
