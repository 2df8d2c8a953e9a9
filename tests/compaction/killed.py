"""`python -m tests.compaction.killed EVENT COMMAND COUNT`: a sweep that dies at an exact instant.

It kills itself when the driver has `started` or `succeeded` with a command for the COUNTth time:
between any two steps of a transaction, where no signal from outside would hit.
"""

import os
import signal
import sys

from pymongo import monitoring
from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent

from worker.compaction.sweep import run_sweep


class Killer(monitoring.CommandListener):
    """Ends this process as if the machine had lost its power."""

    def __init__(self, event: str, command: str, count: int) -> None:
        self._at = (event, command)
        self._left = count

    def started(self, event: CommandStartedEvent) -> None:
        self._note("started", event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._note("succeeded", event.command_name)

    def failed(self, event: CommandFailedEvent) -> None:
        self._note("failed", event.command_name)

    def _note(self, event: str, command: str) -> None:
        self._left -= (event, command) == self._at
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    what, command, number = sys.argv[1:]
    monitoring.register(Killer(what, command, int(number)))
    sys.exit(run_sweep(None, None))
