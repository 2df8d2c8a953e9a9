"""SAP's Python client, unchanged from PyPI: every call of Tracking, read back at once."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from ai_api_client_sdk.exception import AIAPIInvalidRequestException, AIAPINotFoundException
from ai_core_sdk.models import Metric, MetricCustomInfo, MetricLabel, MetricResource, MetricTag
from ai_core_sdk.tracking import Tracking

from tests.harness.services import Gateway

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def tracking(gateway: Gateway) -> Any:
    return Tracking(
        base_url=gateway.url, token_creator=lambda: "Bearer x", resource_group=f"sdk-{uuid4().hex}"
    )


def read(tracking: Any, execution_id: str, **arguments: Any) -> Any:
    """Query one execution; return its resource."""
    found = tracking.query(execution_ids=[execution_id], **arguments)
    assert found.count == 1
    (resource,) = found.resources
    assert isinstance(resource, MetricResource)
    assert resource.execution_id == execution_id
    return resource


def test_logged_metrics_are_read_back(tracking: Any, execution_id: str) -> None:
    metrics = [
        Metric("Error Rate", 0.98, AT, 2, [MetricLabel("group", "tree-82")]),
        Metric("loss", 1e-300, AT + timedelta(seconds=1), 2),
        Metric("epochs", 7, AT, 3),
    ]
    tracking.log_metrics(metrics, execution_id)
    resource = read(tracking, execution_id)
    assert resource.metrics == metrics
    assert resource.metrics[0].labels == [MetricLabel("group", "tree-82")]
    assert (resource.tags, resource.custom_info) == ([], [])


def test_metrics_of_an_artifact_carry_its_label(tracking: Any, execution_id: str) -> None:
    metrics = [Metric("loss", 0.5, AT, 0), Metric("loss", 0.4, AT, 1, [MetricLabel("a", "b")])]
    tracking.log_metrics(metrics, execution_id, artifact_name="my_model_name")
    artifact = MetricLabel("metrics.ai.sap.com/Artifact.name", "my_model_name")
    resource = read(tracking, execution_id)
    assert [metric.labels for metric in resource.metrics] == [
        [artifact],
        [MetricLabel("a", "b"), artifact],
    ]
    assert resource.metrics == metrics  # to which the client has added the label


def test_a_metric_without_timestamp_gets_the_time_of_receipt(
    tracking: Any, execution_id: str
) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    tracking.log_metrics([Metric("loss", 0.5, None)], execution_id)
    (metric,) = read(tracking, execution_id).metrics
    assert before <= metric.timestamp <= datetime.now(UTC)
    assert (metric.name, metric.value, metric.step, metric.labels) == ("loss", 0.5, 0, [])


def test_logged_metrics_add_up(tracking: Any, execution_id: str) -> None:
    metrics = [Metric("loss", 1 / (step + 1), AT, step) for step in range(30)]
    for number, metric in enumerate(metrics, start=1):
        tracking.log_metrics([metric], execution_id)
        assert read(tracking, execution_id).metrics == metrics[:number]
    tracking.log_metrics(metrics, execution_id)  # as a client that retries does
    assert read(tracking, execution_id).metrics == metrics


def test_tags_are_set_and_replaced_by_name(tracking: Any, execution_id: str) -> None:
    tracking.set_tags([MetricTag("Artifact Group", "RFC-1"), MetricTag("b", "2")], execution_id)
    assert read(tracking, execution_id).tags == [
        MetricTag("Artifact Group", "RFC-1"),
        MetricTag("b", "2"),
    ]
    tracking.set_tags([MetricTag("b", "3")], execution_id)
    assert read(tracking, execution_id).tags == [
        MetricTag("Artifact Group", "RFC-1"),
        MetricTag("b", "3"),
    ]


def test_custom_info_is_set_and_read_back(tracking: Any, execution_id: str) -> None:
    matrix = "[{'Predicted': 'False', 'Actual': 'True', 'value': 124}]"
    tracking.set_custom_info([MetricCustomInfo("Confusion Matrix", matrix)], execution_id)
    resource = read(tracking, execution_id)
    assert resource.custom_info == [MetricCustomInfo("Confusion Matrix", matrix)]
    assert (resource.metrics, resource.tags) == ([], [])


def test_modify_sets_everything_at_once(tracking: Any, execution_id: str) -> None:
    metrics = [Metric("loss", 0.5, AT, 1)]
    tags = [MetricTag("snake_case name", "a_b"), MetricTag("stage", "test")]
    info = [MetricCustomInfo("some_info", '{"some_key": "someValue"}')]
    tracking.modify(execution_id, metrics=metrics, tags=tags, custom_info=info)
    resource = read(tracking, execution_id)
    assert (resource.metrics, resource.tags, resource.custom_info) == (metrics, tags, info)


def test_modify_with_nothing_creates_the_resource(tracking: Any, execution_id: str) -> None:
    tracking.modify(execution_id)
    resource = read(tracking, execution_id)
    assert (resource.metrics, resource.tags, resource.custom_info) == ([], [], [])


def test_several_executions_are_queried_by_ids_and_by_filter(tracking: Any) -> None:
    for execution_id in ("run-1", "run-2", "run-3"):
        tracking.set_tags([MetricTag("id", execution_id)], execution_id)
    by_ids = tracking.query(execution_ids=["run-1", "run-3"])
    with pytest.warns(DeprecationWarning, match="filter"):
        by_filter = tracking.query(filter="executionId in ('run-1','run-3')")
    with pytest.warns(DeprecationWarning, match="filter"):
        by_one = tracking.query(filter="executionId eq 'run-2'")
    assert by_ids.count == by_filter.count == 2
    for found in (by_ids, by_filter):
        assert [one.tags for one in found.resources] == [
            [MetricTag("id", "run-1")],
            [MetricTag("id", "run-3")],
        ]
    assert [one.execution_id for one in by_one.resources] == ["run-2"]


def test_only_selected_sections_are_returned(tracking: Any, execution_id: str) -> None:
    metrics, tags = [Metric("loss", 0.5, AT, 1)], [MetricTag("a", "b")]
    info = [MetricCustomInfo("c", "d")]
    tracking.modify(execution_id, metrics=metrics, tags=tags, custom_info=info)
    for select, expected in (
        (["metrics"], (metrics, None, None)),
        (["tags"], (None, tags, None)),
        (["customInfo"], (None, None, info)),
        (["tags", "customInfo"], (None, tags, info)),
        (["*"], (metrics, tags, info)),
    ):
        resource = read(tracking, execution_id, select=select)
        assert (resource.metrics, resource.tags, resource.custom_info) == expected


def test_what_was_deleted_is_not_found(tracking: Any, execution_id: str) -> None:
    tracking.log_metrics([Metric("loss", 0.5, AT, 1)], execution_id)
    tracking.delete(execution_id)
    with pytest.raises(AIAPINotFoundException) as not_found:
        tracking.query(execution_ids=[execution_id])
    error = not_found.value
    assert (error.status_code, error.error_code) == (404, "02010055")
    assert error.error_message == "Metrics was not found."
    assert error.request_id
    assert error.details
    with pytest.raises(AIAPINotFoundException):
        tracking.delete(execution_id)
    tracking.set_tags([MetricTag("a", "b")], execution_id)
    resource = read(tracking, execution_id)
    assert (resource.metrics, resource.tags) == ([], [MetricTag("a", "b")])


def test_a_refusal_tells_what_is_wrong(tracking: Any, execution_id: str) -> None:
    metrics = [Metric("loss", "high", AT), Metric("loss", 1, AT, -1)]
    with pytest.raises(AIAPIInvalidRequestException) as refused:
        tracking.log_metrics(metrics, execution_id)
    error = refused.value
    assert (error.status_code, error.error_code) == (400, "02011002")
    assert error.error_message
    assert error.request_id
    assert [detail["message"].split(":")[0] for detail in error.details] == [
        "/metrics/0/value",
        "/metrics/1/step",
    ]
    with pytest.raises(AIAPINotFoundException):
        tracking.query(execution_ids=[execution_id])


def test_a_wrong_query_is_refused(tracking: Any) -> None:
    with pytest.raises(AIAPIInvalidRequestException, match="query parameters"):
        tracking.query()
    with pytest.raises(AIAPIInvalidRequestException, match="query parameters"):
        tracking.query(execution_ids=["x"])


def test_the_resource_group_of_a_call_counts(tracking: Any, execution_id: str) -> None:
    tracking.set_tags([MetricTag("a", "b")], execution_id, resource_group="sdk-other")
    with pytest.raises(AIAPINotFoundException):
        tracking.query(execution_ids=[execution_id])
    found = tracking.query(execution_ids=[execution_id], resource_group="sdk-other")
    assert found.resources[0].tags == [MetricTag("a", "b")]
