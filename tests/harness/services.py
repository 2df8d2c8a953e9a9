"""The product's processes as tests start, stop and kill them."""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from deploy.local.mongodb import MongoDB
from deploy.local.ports import LOOPBACK, choose_port
from deploy.local.process import Process, wait_for
from deploy.local.rabbitmq import RabbitMQ

READY_DEADLINE_S = 20.0
STOP_DEADLINE_S = 30.0
ROOT = Path(__file__).resolve().parents[2]


def await_room_in_logs() -> None:
    """Wait for the next second, in which no refusal is left out of the logs yet."""
    now = int(time.monotonic())
    assert wait_for(lambda: int(time.monotonic()) > now, 5)


class Service:
    """One gateway or worker process. Starting it again keeps its ports."""

    def __init__(self, module: str, folder: Path, environment: dict[str, str], ops: str) -> None:
        """Prepare `python -m module`; `ops` names the variable of its operations port."""
        self.ops_port = choose_port()
        self.environment = environment | {ops: str(self.ops_port)}
        name = f"{module}-{self.ops_port}"
        self.process = Process(name, folder / f"{name}.log", folder / f"{name}.pid.json")
        self.python_path = str(ROOT)
        self._module = module
        self._starts = 0

    def launch(self) -> None:
        """Start the process only."""
        clean = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
        self.process.start(
            [sys.executable, "-m", self._module],
            clean | {"PYTHONPATH": self.python_path} | self.environment,
            append_log=self._starts > 0,
        )
        self._starts += 1

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.launch()
        self.await_ready()

    def await_ready(self) -> None:
        """Wait until /readyz says so."""
        if not wait_for(self.is_ready, READY_DEADLINE_S):
            raise AssertionError(f"{self._module} is not ready:\n{self.process.log_tail(40)}")

    def is_ready(self) -> bool:
        """Ask /readyz; a process that ended fails the test at once."""
        assert self.process.is_alive(), self.process.log_tail(40)
        try:
            self.operations("/readyz")
        except OSError:  # refused, or HTTPError 503
            return False
        return True

    def operations(self, path: str) -> str:
        """Return what the operations port answers; raises HTTPError for other than 200."""
        url = f"http://{LOOPBACK}:{self.ops_port}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.operations("/metrics"))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        identity = self.process.identity
        assert identity is not None
        identity.send(signal.SIGTERM)

    def await_end(self) -> int:
        """Wait for the process to end by itself; returns its exit code."""
        assert wait_for(lambda: not self.process.is_alive(), STOP_DEADLINE_S), "does not end"
        code = self.process.exit_code
        assert code is not None
        return code

    def stop(self) -> None:
        """Stop the process in good order, if it runs."""
        self.process.stop(STOP_DEADLINE_S)

    def kill(self) -> None:
        """Kill the process (SIGKILL)."""
        self.process.kill()

    def peak_bytes(self) -> int:
        """Return the most memory that the process has had resident (VmHWM of proc(5))."""
        return self._status_bytes("VmHWM")

    def resident_bytes(self) -> int:
        """Return the memory that the process has resident now (VmRSS of proc(5))."""
        return self._status_bytes("VmRSS")

    def _status_bytes(self, name: str) -> int:
        identity = self.process.identity
        assert identity is not None
        for line in Path(f"/proc/{identity.pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0]) * 1024  # "kB" means KiB
        raise AssertionError(f"no {name}")

    def logs(self) -> list[dict[str, Any]]:
        """Return what the process has logged since its last start; every line must be JSON."""
        return [json.loads(line) for line in self.process.log_lines()]


class Gateway(Service):
    """`python -m ingest`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = choose_port()
        own = {"INGEST_AUTH": "none"} | environment | {"INGEST_PORT": str(self.port)}
        super().__init__("ingest", folder, own, "INGEST_OPS_PORT")

    @property
    def url(self) -> str:
        """The address of the API, as the client libraries take it."""
        return f"http://{LOOPBACK}:{self.port}/v2"


class Worker(Service):
    """`python -m worker`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        super().__init__("worker", folder, environment, "WORKER_OPS_PORT")


class Site:
    """A virtual host and a database of their own, for gateways and workers that share them."""

    def __init__(self, broker: RabbitMQ, database: MongoDB, name: str, folder: Path) -> None:
        """Make the virtual host `name` on a running broker."""
        self.database_url = database.url
        self.database_name = name
        self.amqp_url = broker.url + name
        self._folder = folder
        self._services: list[Service] = []
        broker.control(
            "eval",
            f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), '
            f"rabbit_auth_backend_internal:set_permissions("
            f'<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).',
        )

    def gateway(self, **settings: str) -> Gateway:
        """Prepare a gateway; settings are environment variables."""
        gateway = Gateway(self._folder, self.environment | settings)
        self._services.append(gateway)
        return gateway

    def worker(self, **settings: str) -> Worker:
        """Prepare a worker; settings are environment variables."""
        worker = Worker(self._folder, self.environment | settings)
        self._services.append(worker)
        return worker

    @property
    def environment(self) -> dict[str, str]:
        """The variables that both kinds of process need."""
        return {
            "AMQP_URL": self.amqp_url,
            "MONGODB_URL": self.database_url,
            "MONGODB_DATABASE": self.database_name,
        }

    def close(self) -> None:
        """End all processes, workers last so that gateways can still drain."""
        for service in sorted(self._services, key=lambda one: isinstance(one, Worker)):
            service.stop()


async def start_all(*services: Service) -> None:
    """Start processes side by side and wait until all are ready."""
    for service in services:
        service.launch()
    for service in services:
        await asyncio.to_thread(service.await_ready)
