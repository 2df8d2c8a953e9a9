"""The worker's settings."""

from dataclasses import dataclass

from ingest.runtime.settings import (
    HOST,
    PORT,
    ProcessSettings,
    integer,
    seconds,
    setting,
)

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WorkerSettings(ProcessSettings):
    """What else can be set, with its default. See the README's table."""

    ops_host: str = setting(
        "WORKER_OPS_HOST", HOST, "127.0.0.1", about="The address the port is bound to."
    )
    ops_port: int = setting(
        "WORKER_OPS_PORT", PORT, 8082, about="The port for /livez, /readyz and /metrics."
    )
    prefetch_messages: int = setting(
        "WORKER_PREFETCH_MESSAGES",
        integer(1, 2000),
        64,
        about="Messages sent ahead of their acks, divided among the queues (at least 1 each).",
    )
    max_batch_messages: int = setting(
        "WORKER_MAX_BATCH_MESSAGES",
        integer(1, 2000),
        32,
        about="Messages that are applied together at most.",
    )
    max_batch_bytes: int = setting(
        "WORKER_MAX_BATCH_BYTES",
        integer(1024, 256 * _MIB),
        8 * _MIB,
        about="Bytes after which a batch takes no further message.",
    )
    batches_in_flight: int = setting(
        "WORKER_BATCHES_IN_FLIGHT",
        integer(1, 16),
        2,
        about="Batches applied at the same time, to hide the journal's latency.",
    )
    compact_after_segments: int = setting(
        "WORKER_COMPACT_AFTER_SEGMENTS",
        integer(0, 100_000),
        200,
        about="Small segments of a resource that a worker writes before it compacts; 0: never.",
    )
    drain_timeout_s: float = setting(
        "WORKER_DRAIN_TIMEOUT_S",
        seconds(0, 600),
        20.0,
        about="How long batches in flight may take after SIGTERM.",
    )
    max_dead_letter_percent: int = setting(
        "WORKER_MAX_DEAD_LETTER_PERCENT",
        integer(1, 100),
        10,
        about="With more dead letters among the last 1000 updates the worker stops working.",
    )
