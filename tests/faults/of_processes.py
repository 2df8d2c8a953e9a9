"""Gateways and workers that are killed, over and over, or told to stop."""

import asyncio

from tests.faults.stage import Cast, Stage
from tests.faults.trial import Dose, Fault
from tests.harness.ledger import Outcome
from tests.harness.services import start_all


async def _kill_workers(stage: Stage, dose: Dose) -> None:
    for number in range(dose.rounds):
        worker = stage.workers[number % len(stage.workers)]
        await asyncio.to_thread(worker.kill)
        await stage.sent(dose.updates)
        await start_all(worker)


async def _kill_gateways(stage: Stage, dose: Dose) -> None:
    for number in range(dose.rounds):
        gateway = stage.gateways[number % len(stage.gateways)]
        await asyncio.to_thread(gateway.kill)
        await stage.sent(dose.updates)
        await start_all(gateway)


async def _stop_workers(stage: Stage, dose: Dose) -> None:
    for number in range(dose.rounds):
        worker = stage.workers[number % len(stage.workers)]
        worker.terminate()
        assert await asyncio.to_thread(worker.await_end) == 0, "a worker ended with an error"
        await stage.sent(dose.updates)
        await start_all(worker)


async def _stop_gateways(stage: Stage, dose: Dose) -> None:
    for number in range(dose.rounds):
        gateway = stage.gateways[number % len(stage.gateways)]
        refused = stage.load.ledger.count(Outcome.REFUSED)
        gateway.terminate()
        assert await asyncio.to_thread(gateway.await_end) == 0, "a gateway ended with an error"
        await stage.sent(dose.updates)
        # What it had begun it has finished. (Before it is ready again it refuses, as it should.)
        refusals = stage.load.ledger.count(Outcome.REFUSED) - refused
        assert refusals == 0, f"a draining gateway refused {refusals} updates"
        await start_all(gateway)


_WORKER = "a worker is killed or told to stop"

FAULTS = (
    Fault("a worker is killed", _WORKER, _kill_workers, Cast(workers=2), refuses=False),
    Fault("a worker is told to stop", _WORKER, _stop_workers, refuses=False),
    Fault("a gateway is killed", "a gateway is killed", _kill_gateways, Cast(gateways=2)),
    Fault(
        "a gateway is told to stop",
        "a gateway is told to stop",
        _stop_gateways,
        Cast(gateways=2),
    ),
)
