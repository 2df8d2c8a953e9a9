"""The product's own processes, gateway and worker, as children of `make run`."""

import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from deploy.local.process import Process

_ANSWER_TIMEOUT_S = 2.0
# Longer than the processes give themselves to drain, by their default settings.
_STOP_DEADLINE_S = 45.0
_COMPLAINTS = ("warning", "error", "critical")


class Service:
    """A gateway or a worker: `python -m` its package, with its log in a file."""

    def __init__(self, package: str, name: str, folder: Path, operations_url: str) -> None:
        """Prepare the process; `operations_url` is where it answers /readyz and /metrics."""
        self.name = name
        self.process = Process(name, folder / f"{name}.log", folder / f"{name}.pid.json")
        self._package = package
        self._operations_url = operations_url
        self._log_read_bytes = 0

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process; it is ready when `is_ready` says so."""
        # Unbuffered, as its log is a file and is read while it runs.
        self.process.start([sys.executable, "-u", "-m", self._package], environment)

    def is_ready(self) -> bool:
        """Say whether the process wants work."""
        return self._get("/readyz") is not None

    def sample(self, metric: str) -> int | None:
        """Return the sum of a metric over its labels; None if there is no answer, or no metric."""
        text = self._get("/metrics")
        if text is None:
            return None
        # The text format: https://prometheus.io/docs/instrumenting/exposition_formats/
        values = [
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith((f"{metric} ", f"{metric}{{"))
        ]
        return int(sum(values)) if values else None

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(  # noqa: S310 - the address is our own, and http
                self._operations_url + path, timeout=_ANSWER_TIMEOUT_S
            ) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return None

    def new_complaints(self) -> list[str]:
        """Return the messages of warnings and errors that were logged since the last call."""
        with self.process.log.open("rb") as log:
            log.seek(self._log_read_bytes)
            # The last line may be half written: leave it for the next call.
            complete = log.read().rpartition(b"\n")[0]
        self._log_read_bytes += len(complete)
        return [complaint for line in complete.splitlines() if (complaint := _complaint(line))]

    def stop(self) -> bool:
        """Ask the process to drain and end; return whether it did, else it was killed."""
        return self.process.stop(_STOP_DEADLINE_S)


def _complaint(line: bytes) -> str | None:
    try:
        record = json.loads(line)
        if record["level"] in _COMPLAINTS:
            return f"{record['level']}: {record['message']}"
    except (ValueError, KeyError, TypeError):
        return None
    return None
