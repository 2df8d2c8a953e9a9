"""MongoDB that dies, changes its primary, or refuses writes."""

import asyncio
from contextlib import suppress
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from deploy.local.mongodb import Mongod
from tests.faults.stage import Cast, Stage
from tests.faults.trial import Dose, Fault
from tests.harness.client import Client

_STEP_DOWN_S = 10


async def _kill_database(stage: Stage, dose: Dose) -> None:
    for _ in range(dose.rounds):
        await asyncio.to_thread(stage.database.kill)
        await dose.hold()
        await _cannot_be_read(stage)
        await stage.sent(dose.updates)
        await asyncio.to_thread(stage.database.start)


async def _cannot_be_read(stage: Stage) -> None:
    async with Client(stage.gateways[0].url) as client:
        answers = await asyncio.gather(client.query(executionIds="some"), client.delete("some"))
    for answer in answers:
        assert (answer.status, answer.error["code"]) == (503, "02011033")
        assert answer.headers["Retry-After"]


async def _kill_primary(stage: Stage, dose: Dose) -> None:
    for _ in range(dose.rounds):
        primary = await _primary(stage)
        await asyncio.to_thread(primary.kill)
        await dose.hold()
        await stage.sent(dose.updates)
        await asyncio.to_thread(primary.start)


async def _step_down(stage: Stage, dose: Dose) -> None:
    for _ in range(dose.rounds):
        primary = await _primary(stage)
        await asyncio.to_thread(_ask_to_step_down, primary)
        await dose.hold()
        await stage.sent(dose.updates)


def _ask_to_step_down(primary: Mongod) -> None:
    with primary.connect() as client, suppress(AutoReconnect):  # it may hang up at once
        client.admin.command("replSetStepDown", _STEP_DOWN_S, secondaryCatchUpPeriodSecs=5)


async def _primary(stage: Stage) -> Mongod:
    await asyncio.to_thread(stage.database.await_primary)
    primary = await asyncio.to_thread(stage.database.primary)
    assert primary is not None
    return primary


async def _block_writes(stage: Stage, dose: Dose) -> None:
    with MongoClient[dict[str, Any]](stage.site.database_url) as mongo:
        for _ in range(dose.rounds):
            mongo.admin.command({"setUserWriteBlockMode": 1, "global": True})
            try:
                await dose.hold()
            finally:
                mongo.admin.command({"setUserWriteBlockMode": 1, "global": False})
            await stage.sent(dose.updates)
    for worker in stage.workers:
        assert worker.metric("worker_database_failures_total") > 0, "no write was blocked"
        assert worker.metric("worker_dead_letters_total") == 0, "a blocked write was given up"


_AWAY = "MongoDB is killed or loses its primary"
_OWN = Cast(database_members=1)
_THREE = Cast(database_members=3, workers=2)

FAULTS = (
    Fault("the database is killed", _AWAY, _kill_database, _OWN, 60, refuses=False),
    Fault("the primary of three is killed", _AWAY, _kill_primary, _THREE, 60, refuses=False),
    Fault(
        "the primary of three steps down",
        _AWAY,
        _step_down,
        _THREE,
        60,
        refuses=False,
        in_tests=False,
    ),
    Fault(
        "the database refuses writes",
        "MongoDB refuses writes",
        _block_writes,
        recovers_within_s=60,
        refuses=False,
    ),
)
