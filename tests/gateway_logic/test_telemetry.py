"""The tally of requests, as Prometheus reads it."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ingest.telemetry import RequestTally

_LABELS = ("method", "status", "le")


def scraped(tally: RequestTally) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(tally)
    text = generate_latest(registry).decode()
    return {
        sample.name
        + "".join(
            f"|{sample.labels[name]}" for name in _LABELS if name in sample.labels
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_method_and_status() -> None:
    tally = RequestTally()
    for method, status in (("PATCH", 204), ("PATCH", 204), ("PATCH", 503), ("GET", 204)):
        tally.count(method, status, 0.1)
    tally.count_aborted("GET")
    samples = scraped(tally)
    assert samples["ingest_requests_total|PATCH|204"] == 2
    assert samples["ingest_requests_total|PATCH|503"] == 1
    assert samples["ingest_requests_total|GET|204"] == 1
    assert samples["ingest_requests_total|GET|aborted"] == 1
    assert samples["ingest_updates_accepted_total"] == 2


def test_durations_are_counted_up_to_each_bound_the_bound_itself_included() -> None:
    tally = RequestTally()
    for seconds in (0.0001, 0.001, 0.0011, 10, 11):
        tally.count("PATCH", 204, seconds)
    samples = scraped(tally)
    bucket = "ingest_request_duration_seconds_bucket|PATCH|"
    assert samples[bucket + "0.001"] == 2
    assert samples[bucket + "0.0025"] == 3
    assert samples[bucket + "5.0"] == 3
    assert samples[bucket + "10.0"] == 4
    assert samples[bucket + "+Inf"] == samples["ingest_request_duration_seconds_count|PATCH"] == 5
    assert samples["ingest_request_duration_seconds_sum|PATCH"] == pytest.approx(21.0022)


def test_before_the_first_request_what_alerts_look_for_is_there_as_zero() -> None:
    samples = scraped(RequestTally())
    assert not any(samples.values())
    assert samples.keys() == {
        "ingest_updates_accepted_total",
        *(
            f"ingest_requests_total|{method}|{status}"
            for method in ("PATCH", "GET", "DELETE")
            for status in (500, 503)
        ),
    }
