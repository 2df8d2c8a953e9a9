"""Every fault in a short form: promise and service must survive it. `make chaos` does more."""

from pathlib import Path

import pytest

from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.faults.catalogue import FAULTS
from tests.faults.stage import Servers
from tests.faults.trial import SHORT, Fault, run_trial


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "fault", [pytest.param(fault, id=fault.name) for fault in FAULTS if fault.in_tests]
)
async def test_promise_and_service_survive(
    fault: Fault, broker: RabbitMQ, database: MongoDB, tmp_path: Path
) -> None:
    servers = Servers(broker, database)
    result = await run_trial(fault, SHORT, servers, tmp_path, lambda _: None)
    assert result.problems == []
    assert result.accepted > 0
