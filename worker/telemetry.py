"""What the worker counts, for Prometheus. Labels are bounded: never an id of a client."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_ENTRIES = (1, 4, 16, 64, 256, 1024, 4096, 16384)

ENTRIES_APPLIED = Counter("worker_entries_applied", "Entries that are stored.")
DUPLICATE_SEGMENTS = Counter(
    "worker_duplicate_segments", "Segments that were stored before, by an earlier delivery."
)
BATCH_ENTRIES = Histogram("worker_batch_entries", "Entries in a batch.", buckets=_ENTRIES)
BATCH_SECONDS = Histogram(
    "worker_batch_duration_seconds", "Time to apply a batch.", buckets=_SECONDS
)
ENTRY_AGE_SECONDS = Histogram(
    "worker_oldest_entry_age_seconds",
    "Age, since the gateway received it, of the oldest entry of a batch when it was stored.",
    buckets=_SECONDS,
)
DEAD_LETTERS = Counter("worker_dead_letters", "Entries dead-lettered.", ["reason"])
for _reason in ("undecodable", "invalid-entry", "refused"):
    DEAD_LETTERS.labels(_reason)  # from the start: an increase misses the first of what was not
DATABASE_FAILURES = Counter(
    "worker_database_failures", "Batches that could not be written and were tried again.", ["kind"]
)
LOST_ACKS = Counter(
    "worker_lost_acks", "Applied messages whose ack was lost: they come again, without effect."
)
QUEUE_MESSAGES = Gauge(
    "worker_queue_messages", "Messages ready on a queue of updates, as last seen.", ["queue"]
)
DEAD_LETTER_MESSAGES = Gauge(
    "worker_dead_letter_messages", "Dead letters on their queue, from whatever source.", ["queue"]
)
BROKER_CONNECTED = Gauge("worker_broker_connected", "1 while messages are consumed.")
COMPACTED_SEGMENTS = Counter(
    "worker_compacted_segments", "Segments that compaction removed, and those written instead.",
    ["what"],
)  # fmt: skip
COMPACTION_SECONDS = Histogram(
    "worker_compaction_duration_seconds", "Time to replace a group of segments.", buckets=_SECONDS
)
COMPACTION_CONFLICTS = Counter(
    "worker_compaction_conflicts",
    "Groups that were left as they are, since a deletion or another compaction was at them.",
)
