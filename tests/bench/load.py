"""The load generator: wrk, which leaves more of the cores to what is measured than Python could.

It sends from prepared bodies, each request with steps of its own (`load.lua`), over 64 connections:
as fast as they are answered, or paced by a schedule whose rate can be changed at any time.
"""

import itertools
import json
import mmap
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bodies import PATCH, Format, Mix

CONNECTIONS = 64
_SCRIPT = Path(__file__).with_suffix(".lua")
_TIMEOUT_S = 30
_CONTROL_BYTES = 4096
_RESULT = "RESULT "
# Loads that follow each other number their updates from different numbers on, of eight digits.
_firsts = itertools.cycle(range(10_000_000, 99_000_000, 200_000))
# Above this share of a core, the generator may be what limits the rate.
BUSY_SHARE = 0.85


class LoadError(Exception):
    """Not every request was answered 204, or the generator failed."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load came to. Latencies are as wrk corrects them for coordinated omission."""

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    cpu_share: float

    @property
    def rate(self) -> float:
        """Return the answers per second."""
        return self.requests / self.duration_s


class Load:
    """A load that runs. Whoever starts it owes a `finish`."""

    def __init__(
        self,
        url: str,
        mix: Mix,
        folder: Path,
        executions: Sequence[str],
        duration_s: float,
        *,
        form: Format = PATCH,
        connections: int = CONNECTIONS,
    ) -> None:
        """Prepare a load of updates to a URL, of so many whole seconds; the folder is for files."""
        self._url = url
        self._duration_s = duration_s
        self._form = form
        self._connections = connections
        self._bodies = folder / f"bodies-{form.name}-{mix.metrics}"
        if not self._bodies.exists():
            self._bodies.write_text("\n".join(form.prepared(mix)) + "\n")
        self._executions = folder / "executions"
        self._executions.write_text("\n".join(executions) + "\n")
        self._output = folder / "wrk.txt"
        self._control_file = folder / "control"
        with self._control_file.open("wb+") as file:
            file.truncate(_CONTROL_BYTES)
            self._control = memoryview(mmap.mmap(file.fileno(), _CONTROL_BYTES)).cast("d")
        self._child: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def start(self, rate: float | None = None) -> None:
        """Start sending: at so many requests per second, or as fast as there are answers."""
        if rate is not None:
            self.pace(rate)
        command = [
            "wrk", "--threads=1", f"--connections={self._connections}", f"--timeout={_TIMEOUT_S}s",
            f"--duration={self._duration_s:.0f}s", f"--script={_SCRIPT}", self._url, "--",
            str(self._bodies), str(self._executions), str(self._control_file),
            str(next(_firsts)), "full" if rate is None else "paced", *self._form.head,
        ]  # fmt: skip
        self._started = time.monotonic()
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def pace(self, rate: float) -> None:
        """Change the rate of a paced load, in requests per second."""
        self._control[0] = 1 / rate

    @property
    def sent(self) -> int:
        """Return how many requests were made so far."""
        return int(self._control[1])

    @property
    def running(self) -> bool:
        """Tell whether it has not ended yet."""
        return time.monotonic() < self._started + self._duration_s

    def finish(self) -> LoadResult:
        """Wait for the end.

        Raises:
            LoadError: a request was not answered 204, or the generator failed.
        """
        assert self._child is not None
        _, status, usage = os.wait4(self._child.pid, 0)
        self._child.returncode = os.waitstatus_to_exitcode(status)
        output = self._output.read_text()
        results = [line for line in output.splitlines() if line.startswith(_RESULT)]
        if self._child.returncode or not results:
            raise LoadError(f"wrk failed: {output[-500:]}")
        result = json.loads(results[0].removeprefix(_RESULT))
        # Whether what is not refused was a 204 is for the counts of what was accepted and stored.
        if result["refused"] or result["broken"] or not result["requests"]:
            raise LoadError(f"not all was well: {result}")
        duration_s = result["duration_us"] / 1e6
        return LoadResult(
            result["requests"],
            duration_s,
            result["p50_us"] / 1000,
            result["p99_us"] / 1000,
            (usage.ru_utime + usage.ru_stime) / duration_s,
        )
