"""An MLflow tracking server as its documentation starts it, with SQLite, and its log-batch.

It lives in a virtual environment of its own, which `make bench-peers` makes.
"""

import json
import os
import random
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.ports import LOOPBACK, choose_port
from deploy.local.process import Process, wait_for
from tests.bench.bodies import Format

ENVIRONMENT = Path(".local/mlflow")
_START_DEADLINE_S = 120.0
_TIMEOUT_S = 60.0
_BEGIN_MS = 1_767_225_600_000


class MLflowError(Exception):
    """It is not there, or does not do what it should."""


class MLflow:
    """A tracking server that runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{LOOPBACK}:{port}/api/2.0/mlflow/runs"

    def create_runs(self, number: int) -> list[str]:
        """Create runs in the default experiment; return their ids."""
        return [self._create_run() for _ in range(number)]

    def _create_run(self) -> str:
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.url}/create",
            json.dumps({"experiment_id": "0"}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
            run_id: str = json.load(answer)["run"]["info"]["run_id"]
        return run_id


@contextmanager
def running(folder: Path) -> Iterator[MLflow]:
    """Run a tracking server with a new database.

    Raises:
        MLflowError: it is not installed or does not come up.
    """
    program = _program()
    port = choose_port()
    process = Process("mlflow", folder / "mlflow.log", folder / "mlflow.pid.json")
    command = [
        str(program), "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
        "--default-artifact-root", str(folder / "artifacts"),
        "--host", LOOPBACK, "--port", str(port),
    ]  # fmt: skip
    # It looks for programs of its own on the PATH.
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    process.start(command, os.environ | {"PATH": path} | quiet)
    try:
        if not wait_for(lambda: _is_ready(port), _START_DEADLINE_S):
            raise MLflowError(f"MLflow does not come up:\n{process.log_tail()}")
        yield MLflow(port)
    finally:
        process.stop(_TIMEOUT_S)


def version() -> str:
    """Return the version that is installed.

    Raises:
        MLflowError: none is.
    """
    done = subprocess.run(
        [_program(), "--version"], capture_output=True, text=True, check=True, timeout=_TIMEOUT_S
    )
    return done.stdout.split()[-1]


def _program() -> Path:
    program = ENVIRONMENT.absolute() / "bin" / "mlflow"
    if not program.exists():
        raise MLflowError("MLflow is not installed: run make bench-peers")
    return program


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _batch(run_id: str, points: list[str]) -> str:
    return f'{{"run_id":"{run_id}","metrics":[{",".join(points)}],"params":[],"tags":[]}}'


def _point(source: random.Random, name: str, step: str, at_ms: int) -> str:
    timestamp = _BEGIN_MS + at_ms
    return f'{{"key":"{name}","value":{source.random()},"timestamp":{timestamp},"step":{step}}}'


LOG_BATCH = Format(
    "log-batch",
    (
        "POST /api/2.0/mlflow/runs/log-batch HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
    ),
    _batch,
    _point,
)
