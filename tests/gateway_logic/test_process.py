"""Processes and broker connections that will not end."""

import asyncio
import subprocess
import sys
from contextlib import suppress

import pytest
from aio_pika.abc import AbstractConnection

from deploy.local.process import wait_for
from deploy.local.rabbitmq import RabbitMQ
from ingest.runtime.broker import keep_connected
from tests.harness.services import ROOT

# The program's own process, with something in it that never drains.
HANGING = """
import asyncio
from dataclasses import dataclass
from ingest.runtime import process
from ingest.runtime.settings import BrokerSettings

process._DRAIN_MARGIN_S = 0.1

@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BrokerSettings):
    @property
    def drain_timeout_s(self):
        return 0.1

async def hang(stop):
    print("running", flush=True)
    await asyncio.Event().wait()

process.run_process(Settings, lambda settings: hang)
"""


def test_a_process_that_does_not_end_is_cut_off() -> None:
    environment = {"AMQP_URL": "amqp://nowhere/", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HANGING]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        process.terminate()
        try:
            assert wait_for(lambda: process.poll() is not None, 10)
        finally:
            process.kill()
        assert process.returncode == 1
        assert b"does not end" in process.stdout.read()


@pytest.mark.parametrize("times", [1, 3])
async def test_a_connection_s_user_that_loses_cancellations_is_cancelled_again(
    broker: RabbitMQ, times: int
) -> None:
    in_use = asyncio.Event()

    async def use(_connection: AbstractConnection) -> None:
        in_use.set()
        for _ in range(times):  # as asyncio.wait_for does when it is just about to end
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with asyncio.timeout(20):
        keeping = asyncio.create_task(keep_connected(broker.url, "test", use))
        await in_use.wait()
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
