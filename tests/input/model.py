"""What a query must return for one update, worked out from what was sent and nothing else."""

from typing import Any

from tests.input import oracle

Json = dict[str, Any]
# Stands for the time at which the gateway received the update.
RECEIVED = "(received)"


def check_stored(sent: Json, resource: Json) -> None:
    """Check a stored resource against the only update it ever got."""
    assert resource["executionId"] == sent["executionId"]
    for section in ("tags", "customInfo"):
        expected = {item["name"]: item["value"] for item in sent.get(section, [])}
        assert {item["name"]: item["value"] for item in resource[section]} == expected
        assert len(resource[section]) == len(expected)
    received = _stamps(resource["metrics"]) - _stamps(sent.get("metrics", []))
    assert len(received) <= 1, "points without a timestamp share the time of receipt"
    if received:
        assert received == {resource["createdAt"]} == {resource["modifiedAt"]}
    points = {_identity(point): point["value"] for point in resource["metrics"]}
    assert len(points) == len(resource["metrics"])
    received_at = received.pop() if received else RECEIVED
    expected = {_identity(one, received_at): one["value"] for one in sent.get("metrics", [])}
    assert points == expected
    keys = [
        (point.get("step", -1), point["timestamp"][:-1], point["name"])
        for point in resource["metrics"]
    ]
    assert keys == sorted(keys)


def _stamps(metrics: list[Json]) -> set[str]:
    return {oracle.canonical(one["timestamp"]) for one in metrics if one.get("timestamp")}


def _identity(metric: Json, received_at: str = RECEIVED) -> tuple[Any, ...]:
    stamp, step = metric.get("timestamp"), metric.get("step")
    labels = frozenset((label["name"], label["value"]) for label in metric.get("labels") or ())
    canonical = received_at if stamp is None else oracle.canonical(stamp)
    return (metric["name"], None if step is None else int(step), canonical, labels)
