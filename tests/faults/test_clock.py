"""A gateway whose machine's clock jumps: what came later must stand all the same."""

from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.harness.client import Client
from tests.harness.services import ROOT, Gateway, Site

CLOCK = Path(__file__).parent / "clock"
HOUR_S = 3600


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    file = tmp_path / "clock"
    move(file, 0)
    return file


def move(clock: Path, seconds: int) -> None:
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)  # in one step: the gateway reads it at any moment


@pytest.fixture
def moved(site: Site, clock: Path) -> Gateway:
    """A gateway whose clock the file moves, with a worker."""
    gateway = site.gateway(PYTHONPATH=f"{CLOCK}:{ROOT}", CLOCK_FILE=str(clock))
    worker = site.worker()
    gateway.start()
    worker.start()
    return gateway


def update(value: float) -> dict[str, Any]:
    return {
        "executionId": "an-execution",
        "metrics": [
            {"name": "loss", "value": value, "step": 1, "timestamp": "2026-01-01T00:00:00Z"}
        ],
        "tags": [{"name": "state", "value": str(value)}],
    }


@pytest.mark.parametrize("jump_s", [-HOUR_S, -1, HOUR_S])
async def test_the_later_value_stands_though_the_clock_jumped(
    moved: Gateway, clock: Path, jump_s: int
) -> None:
    async with Client(moved.url) as client:
        await client.accepted(update(1))
        move(clock, jump_s)
        await client.accepted(update(2))
        move(clock, 0)
        await client.accepted(update(3))
        resource = await client.resource("an-execution")
        assert [metric["value"] for metric in resource["metrics"]] == [3]
        assert resource["tags"] == [{"name": "state", "value": "3"}]


async def test_a_deletion_after_a_jump_back_hides_what_came_before_and_nothing_after(
    moved: Gateway, clock: Path, site: Site
) -> None:
    async with Client(moved.url) as client:
        await client.accepted(update(1))
        move(clock, -HOUR_S)
        assert (await client.delete("an-execution")).status == 200
        assert (await client.query(executionIds="an-execution")).status == 404
        await client.accepted(update(2))
        resource = await client.resource("an-execution")
        assert [metric["value"] for metric in resource["metrics"]] == [2]
    with MongoClient[dict[str, Any]](site.database_url) as mongo:
        database = mongo[site.database_name]
        stored = database["metric_resources"].find_one()
        segment = database["metric_segments"].find_one(sort=[("lastSequence", -1)])
    assert stored is not None
    assert segment is not None
    assert stored["createdAt"] < stored["deletedAt"] < segment["lastSequence"]
