"""The bench's own programs as child processes."""

import mmap
import os
import sys
from pathlib import Path

from deploy.local.ports import LOOPBACK, answers, choose_port
from deploy.local.process import Process, wait_for
from tests.bench.textbook import COUNTS_BYTES
from tests.harness.services import ROOT

_START_DEADLINE_S = 20.0


class ProgramError(Exception):
    """A program of the bench does not come up; the message has the end of its log."""


class Program:
    """A program of the bench's own, as a child process."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        """Prepare a program; the folder is for its log."""
        self.port = choose_port()
        self._environment = environment
        self._process = Process(name, folder / f"{name}.log", folder / f"{name}.pid.json")

    @property
    def url(self) -> str:
        """Where to send updates."""
        return f"http://{LOOPBACK}:{self.port}/v2/lm/metrics"

    @property
    def pid(self) -> int:
        """The id of its process.

        Raises:
            ProgramError: it does not run.
        """
        identity = self._process.identity
        if identity is None:
            raise ProgramError(f"it does not run:\n{self._process.log_tail()}")
        return identity.pid

    def serve(self, module: str, kind: str) -> None:
        """Start a module with a kind and its port, and wait until it listens.

        Raises:
            ProgramError: it does not.
        """
        self._start(module, kind, str(self.port))
        if not wait_for(lambda: answers(self.port), _START_DEADLINE_S):
            raise ProgramError(f"{module} does not listen:\n{self._process.log_tail()}")

    def count(self, module: str, counts: "Counts") -> None:
        """Start a module with a file to count in, and wait until it is ready.

        Raises:
            ProgramError: it is not.
        """
        self._start(module, str(counts.file))
        if not wait_for(lambda: counts.value >= 0, _START_DEADLINE_S):
            raise ProgramError(f"{module} is not ready:\n{self._process.log_tail()}")

    def stop(self) -> None:
        """End it."""
        self._process.stop(_START_DEADLINE_S)

    def _start(self, module: str, *arguments: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | self._environment
        self._process.start([sys.executable, "-m", module, *arguments], environment)


class Counts:
    """A number that a child process counts up, in shared memory."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with file.open("wb+") as opened:
            opened.truncate(COUNTS_BYTES)
            self._memory = memoryview(mmap.mmap(opened.fileno(), COUNTS_BYTES)).cast("d")
        self._memory[0] = -1

    @property
    def value(self) -> int:
        """Return the count; -1 until the child is ready."""
        return int(self._memory[0])
