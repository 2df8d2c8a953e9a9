"""What the gateway counts, for Prometheus. Labels are bounded: never an id of a client."""

from bisect import bisect_left
from collections.abc import Iterator
from http import HTTPStatus
from itertools import accumulate

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# These are there from the start, for the alerts: a rate misses the first of what was not.
_FAILURES = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
_ENTRIES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class RequestTally(Collector):
    """Count requests. Used by the event loop only: so without locks, which would cost more."""

    def __init__(self) -> None:
        self._ended: dict[tuple[str, int | str], int] = {
            (method, int(status)): 0
            for method in ("PATCH", "GET", "DELETE")
            for status in _FAILURES
        }
        # By method: how many took at most as long as each bound, but longer than the one before.
        self._took: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def count(self, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered, so long after its headers."""
        self._count(method, status)
        took = self._took.get(method)
        if took is None:
            took = self._took[method] = [0] * (len(_SECONDS) + 1)
            self._seconds[method] = 0.0
        took[bisect_left(_SECONDS, seconds)] += 1
        self._seconds[method] += seconds

    def count_aborted(self, method: str) -> None:
        """Count a request that was not answered, as its client went away."""
        self._count(method, "aborted")

    def _count(self, method: str, status: int | str) -> None:
        key = method, status
        self._ended[key] = self._ended.get(key, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Return the counts for Prometheus."""
        requests = CounterMetricFamily(
            "ingest_requests", "Requests, by how they ended.", labels=["method", "status"]
        )
        for (method, status), count in self._ended.items():
            requests.add_metric([method, str(status)], count)
        yield requests
        accepted = self._ended.get(("PATCH", HTTPStatus.NO_CONTENT), 0)
        yield CounterMetricFamily("ingest_updates_accepted", "Updates answered 204.", accepted)
        durations = HistogramMetricFamily(
            "ingest_request_duration_seconds",
            "Time from a request's headers to the end of its answer.",
            labels=["method"],
        )
        bounds = [*(str(float(bound)) for bound in _SECONDS), "+Inf"]
        for method, took in self._took.items():
            buckets = list(zip(bounds, accumulate(took), strict=True))
            durations.add_metric([method], buckets, self._seconds[method])
        yield durations


REQUESTS = RequestTally()
REGISTRY.register(REQUESTS)
CONNECTIONS = Gauge("ingest_connections", "Clients' connections that are open.")
REFUSED_CONNECTIONS = Counter(
    "ingest_refused_connections", "Connections answered 503 at once, as there were too many."
)
CUT_CONNECTIONS = Counter(
    "ingest_cut_connections", "Connections cut as their client was too slow, by what was.", ["what"]
)
CONFIRM_SECONDS = Histogram(
    "ingest_confirm_duration_seconds",
    "Time from publishing a message to the broker's confirm.",
    buckets=_SECONDS,
)
GROUP_ENTRIES = Histogram(
    "ingest_group_entries", "Entries in a confirmed message.", buckets=_ENTRIES
)
PUBLISH_FAILURES = Counter(
    "ingest_publish_failures", "Messages that were not confirmed.", ["reason"]
)
RECEIVING_BYTES = Gauge("ingest_receiving_bytes", "Bytes of large bodies that are being received.")
PENDING_BYTES = Gauge("ingest_pending_bytes", "Bytes of entries that wait for a confirm.")
MESSAGES_IN_FLIGHT = Gauge("ingest_messages_in_flight", "Messages that wait for a confirm.")
CONFIRMED_MESSAGES = Counter(
    "ingest_confirmed_messages", "Messages that a queue has confirmed, probes included.", ["queue"]
)
WORKING_QUEUES = Gauge(
    "ingest_working_queues", "Queues that confirm, of those that updates are spread over."
)
BROKER_CONNECTED = Gauge(
    "ingest_broker_connected", "1 while updates can be published, 0 while the breaker is open."
)
DATABASE_FAILURES = Counter(
    "ingest_database_failures", "Requests that failed with the database, by its error.", ["kind"]
)
READS = Gauge("ingest_reads", "Reads that are being answered.")
READING_BYTES = Gauge("ingest_reading_bytes", "Bytes of stored points that large reads hold.")
WAITING_READS = Gauge("ingest_waiting_reads", "Reads that wait for accepted updates.")
READ_WAIT_TIMEOUTS = Counter(
    "ingest_read_wait_timeouts",
    "Reads answered although an accepted update was not visible within the limit.",
)
AUTH_FAILURES = Counter(
    "ingest_auth_failures", "Requests that were not let in, by what was wrong.", ["reason"]
)
TOKEN_VERIFICATIONS = Counter(
    "ingest_token_verifications", "Tokens whose signature was checked; others were remembered."
)
JWKS_FETCHES = Counter(
    "ingest_jwks_fetches", "Attempts to fetch the keys of tokens, by outcome.", ["outcome"]
)
JWKS_KEYS = Gauge("ingest_jwks_keys", "Usable keys of tokens.")
JWKS_FETCHED_AT = Gauge(
    "ingest_jwks_last_fetch_timestamp_seconds",
    "When the keys of tokens were last fetched, in seconds since 1970; 0 for never.",
)
