"""Split an update that is too large for one message. Merging puts it together again."""

from collections.abc import Iterator
from typing import Any

import orjson

from ingest.contract.points import run_of


def split_resource(resource: dict[str, Any], sequence: int, max_bytes: int) -> list[bytes]:
    """Return JSON MetricResources of about `max_bytes` that together mean the same as one.

    All parts get the update's one sequence, so which of two equal names or points stands is
    settled here, before the array they stand in is cut. An item is never cut: a part with one
    item may be larger. The metrics are changed in place.
    """
    parts: list[bytes] = []
    sections: dict[str, list[orjson.Fragment]] = {}
    size = 0
    for section, item in _items(resource, sequence):
        if sections and size + len(item) > max_bytes:
            parts.append(_encode(resource["executionId"], sections))
            sections, size = {}, 0
        sections.setdefault(section, []).append(orjson.Fragment(item))
        size += len(item) + 1
    parts.append(_encode(resource["executionId"], sections))
    return parts


def _encode(execution_id: str, sections: dict[str, list[orjson.Fragment]]) -> bytes:
    return orjson.dumps({"executionId": execution_id, **sections})


def _items(resource: dict[str, Any], sequence: int) -> Iterator[tuple[str, bytes]]:
    for section in ("tags", "customInfo"):
        standing = {item["name"]: item for item in resource.get(section, ())}
        for item in standing.values():
            yield section, orjson.dumps(item)
    run = run_of(sequence, resource.get("metrics", ()))
    for point in run.points:
        yield "metrics", orjson.dumps(point)
