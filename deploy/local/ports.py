"""Finding free ports of 127.0.0.1, and telling who listens on one."""

import json
import random
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the kernel's range for outgoing connections (32768 and up, net.ipv4.ip_local_port_range):
# while a server is down for a moment, no client may be given its port as a source port, nor
# connect to itself on it.
_CHOICE = range(20000, 32000)
_TRIES = 200
_TCP_LISTEN = "0A"  # state of a listening socket in /proc/net/tcp, see proc(5)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Say whether a server could listen on this port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port with nothing but closed connections in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Say whether something accepts connections on this port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def choose_port() -> int:
    """Return a port that is free now. Another process may take it first: be ready to choose again.

    Raises OSError when no free port is found.
    """
    for _ in range(_TRIES):
        port = random.choice(_CHOICE)  # noqa: S311 - to keep concurrent runs apart, not a secret
        if is_free(port):
            return port
    raise OSError(f"no free port on {LOOPBACK} between {_CHOICE.start} and {_CHOICE.stop - 1}")


class Ports:
    """The named ports of one server, kept in a file so that it comes back on the same ones."""

    def __init__(self, file: Path, wanted: Mapping[str, int | None]) -> None:
        """Take the ports that are given, else those of the file, else free ones."""
        self._file = file
        self._fixed = {name for name, port in wanted.items() if port is not None}
        kept = json.loads(file.read_text()) if file.exists() else {}
        self._ports = {
            name: port or kept.get(name) or choose_port() for name, port in wanted.items()
        }

    def __getitem__(self, name: str) -> int:
        return self._ports[name]

    def choose_others(self) -> bool:
        """Choose other ports where that is still allowed; False if all are fixed."""
        changeable = self._ports.keys() - self._fixed
        self._ports.update((name, choose_port()) for name in changeable)
        return bool(changeable)

    def keep(self) -> None:
        """Fix the ports, as their addresses have been handed out, and write them to the file."""
        self._fixed = set(self._ports)
        self._file.write_text(json.dumps(self._ports))


def listeners(pid: int) -> set[tuple[str, int]]:
    """Return (address, port) of every TCP socket that this process listens on.

    The addresses are in the kernel's hexadecimal notation: `0100007F` is 127.0.0.1.
    """
    sockets = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                sockets.add(str(descriptor.readlink()))
    except OSError:
        return set()  # the process has ended
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        # There is no second one where IPv6 is switched off.
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        for fields in map(str.split, lines):
            if fields[3] == _TCP_LISTEN and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found


def listens(pid: int, port: int) -> bool:
    """Say whether it is this process that listens on the port."""
    return any(listened == port for _, listened in listeners(pid))
