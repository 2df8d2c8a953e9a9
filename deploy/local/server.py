"""One server process in a folder of its own: start until it is ready, stop until it is gone."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import Ports, answers, listens
from deploy.local.process import Process, wait_for

_PORT_ATTEMPTS = 5
# In the words of mongod, of Erlang, and of RabbitMQ about its distribution port.
_ADDRESS_IN_USE = re.compile("address already in use|eaddrinuse|port_already_used", re.IGNORECASE)
_MAX_COMPLAINT_CHARS = 300


class ServerError(Exception):
    """A server did not come up, or ended; the message says which, and what its log says."""


class _PortTakenError(ServerError):
    """The server found one of its ports taken."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a server's program."""

    arguments: list[str | Path]
    environment: dict[str, str]


class Server(ABC):
    """One server process. Subclasses say how it is started and when it is ready.

    `start` and `stop` may be called in turn any number of times; the ports stay the same. All
    methods block: call them through `asyncio.to_thread` in an event loop.
    """

    start_deadline_s = 60.0
    stop_deadline_s = 20.0

    def __init__(self, name: str, folder: Path, ports: Mapping[str, int | None]) -> None:
        """Prepare a server in `folder`, which is made; `ports` that are None are chosen."""
        self.name = name
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = Ports(self.folder / f"{name}.ports.json", ports)
        self.process = Process(name, self.folder / f"{name}.log", self.folder / f"{name}.pid.json")
        self._started_before = False
        self._outlive_parent = False

    @abstractmethod
    def _command(self) -> Command:
        """Write the server's configuration for the present ports and return its command."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Say whether the server answers; called only while it runs and listens on its port."""

    @property
    @abstractmethod
    def port(self) -> int:
        """The port that clients connect to."""

    def is_alive(self) -> bool:
        """Say whether the server's process runs, ready or not, whoever started it."""
        return self.process.is_alive()

    def start(self, *, outlive_parent: bool = False) -> None:
        """Start the server and return when it is ready.

        Raises ServerError if it runs already, ends, or is not ready in `start_deadline_s`.
        """
        self.launch(outlive_parent=outlive_parent)
        self.await_ready()

    def launch(self, *, outlive_parent: bool = False) -> None:
        """Start the server's process only; the caller owes an `await_ready`."""
        if self.is_alive():
            raise ServerError(f"{self.name} in {self.folder} runs already")
        self._outlive_parent = outlive_parent
        command = self._command()
        self.process.start(
            command.arguments,
            command.environment,
            outlive_parent=outlive_parent,
            append_log=self._started_before,
        )
        self._started_before = True

    def await_ready(self) -> None:
        """Wait until the server is ready, restarting it on other ports if one was taken.

        Raises ServerError, with no process left, if it ends or is not ready in `start_deadline_s`.
        """
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                self._await_answer()
            except _PortTakenError:
                # Free when chosen, taken when bound: something else was quicker.
                self.kill()
                if attempt == _PORT_ATTEMPTS or not self.ports.choose_others():
                    raise
                self.launch(outlive_parent=self._outlive_parent)
            except BaseException:
                self.kill()
                raise
            else:
                self.ports.keep()
                return

    def _await_answer(self) -> None:
        def has_settled() -> bool:
            identity = self.process.identity
            # That something answers is cheap to find out; that it is our process, less so.
            return identity is None or (
                answers(self.port) and listens(identity.pid, self.port) and self._is_ready()
            )

        in_time = wait_for(has_settled, self.start_deadline_s)
        if in_time and self.is_alive():
            return
        if complaint := self._port_complaint():
            raise _PortTakenError(f"{self.name} found its port taken: {complaint}")
        problem = f"was not ready in {self.start_deadline_s:.0f} s" if self.is_alive() else "ended"
        raise ServerError(
            f"{self.name} {problem}; the end of {self.process.log}:\n{self.process.log_tail()}"
        )

    def _port_complaint(self) -> str | None:
        """Return what a server that did not come up says about a port that was taken, if so."""
        found = next(filter(_ADDRESS_IN_USE.search, self.process.log_lines()), None)
        return found and found[:_MAX_COMPLAINT_CHARS]

    def stop(self) -> None:
        """Stop the server in good order, kill it after `stop_deadline_s`; nothing stays behind."""
        self.process.stop(self.stop_deadline_s)

    def kill(self) -> None:
        """Kill the server (SIGKILL), as a crash would; `start` brings it back with its data."""
        self.process.kill()
