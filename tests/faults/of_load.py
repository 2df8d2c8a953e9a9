"""More updates than the workers clear, until the queue is full."""

from tests.faults.stage import Cast, Stage
from tests.faults.trial import Dose, Fault
from tests.harness.ledger import Outcome

# Small messages, applied one at a time: a worker that is slow without being another worker.
_SLOW_WORKER = {
    "INGEST_MAX_GROUP_ENTRIES": "4",
    "INGEST_MAX_PENDING_BYTES": f"{1024 * 1024}",
    "WORKER_PREFETCH_MESSAGES": "1",
    "WORKER_MAX_BATCH_MESSAGES": "1",
    "WORKER_BATCHES_IN_FLIGHT": "1",
}
_MAX_QUEUED_MESSAGES = 200
# Of a gateway or a worker with the settings above, whatever the load: Python, its libraries,
# and some MiB.
_MAX_RESIDENT_BYTES = 200 * 1024 * 1024
_ROUNDS = 3


async def _overload(stage: Stage, dose: Dose) -> None:
    limit = f'{{"max-length":{_MAX_QUEUED_MESSAGES}}}'
    vhost = stage.site.database_name
    await stage.control("set_policy", "-p", vhost, "short", ".*", limit, "--apply-to", "queues")
    for _ in range(dose.rounds * _ROUNDS):
        await dose.hold()
    assert stage.load.ledger.count(Outcome.REFUSED) > 0, "the load was not too much"
    for service in (*stage.gateways, *stage.workers):
        peak = service.peak_bytes()
        assert peak < _MAX_RESIDENT_BYTES, f"{service.process.name} grew to {peak} bytes"
    stage.load.pause()  # that is how this fault ends


FAULTS = (
    Fault(
        "more updates than the workers clear",
        "more updates than the workers clear, and the queue is full",
        _overload,
        Cast(connections=64, settings=_SLOW_WORKER),
        recovers_within_s=30,
        answers_within_s=10,
    ),
)
