"""`make run`: the whole product in the foreground, until Ctrl-C."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from deploy.local import example
from deploy.local.install import install_missing
from deploy.local.lock import LockedError, exclusive
from deploy.local.mongodb import MongoDB
from deploy.local.ports import LOOPBACK, is_free
from deploy.local.process import wait_for
from deploy.local.rabbitmq import RabbitMQ
from deploy.local.server import ServerError
from deploy.local.servers import write_urls
from deploy.local.service import Service
from deploy.local.status import StatusLine

_FOLDER = Path(".local/run")
_URLS = _FOLDER / "servers.env"
_READY_DEADLINE_S = 60.0
_WATCH_INTERVAL_S = 1.0
_PORTS = {"INGEST_PORT": 8080, "INGEST_OPS_PORT": 8081, "WORKER_OPS_PORT": 8082}
_HOSTS = {"INGEST_HOST": LOOPBACK, "WORKER_OPS_HOST": LOOPBACK}
_OPEN = {"INGEST_AUTH": "none"}  # for whoever is on this machine
_HOST_OF = {
    "INGEST_PORT": "INGEST_HOST",
    "INGEST_OPS_PORT": "INGEST_HOST",
    "WORKER_OPS_PORT": "WORKER_OPS_HOST",
}


class RunError(Exception):
    """The run can't begin; the message is one line for the person at the terminal."""


class _Stop:
    """What signals do: the first ends the run in good order, a further one hurries that."""

    def __init__(self) -> None:
        self._stopping = False
        self._hurry: list[Service] = []

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._receive)

    def hurries(self, service: Service) -> None:
        """Have a further signal kill this process instead of waiting for it to drain."""
        self._hurry.append(service)

    def begin(self) -> None:
        """From now on signals only hurry."""
        self._stopping = True

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self.begin()
            raise KeyboardInterrupt
        for service in self._hurry:
            if identity := service.process.identity:
                identity.send(signal.SIGKILL)


def run() -> int:
    """Run servers, gateway and worker until a signal comes: 0, or until one of them ends: 1.

    Raises RunError or InstallError, with nothing started, if it can't begin.
    """
    settings = _settings(os.environ)
    stop = _Stop()
    running = ExitStack()
    try:
        _begin(settings, running)
        stop.install()
        servers = _start_servers(settings, running)
        gateway, worker = _start_services(settings, running, stop)
        _say_ready(settings, gateway, worker)
        _watch(gateway, worker, servers)
    except (KeyboardInterrupt, BrokenPipeError):
        # A pipe that nobody reads any longer is a wish to stop, too.
        _say("")
        return 0
    except ServerError as error:
        # Said now, not after everything has been stopped.
        _say(f"\n{error}\n", sys.stderr)
        return 1
    finally:
        stop.begin()
        running.close()


def _begin(settings: Mapping[str, str], running: ExitStack) -> None:
    """Make sure of everything that can be known before anything is started."""
    try:
        running.enter_context(exclusive(_FOLDER / "lock", wait=False))
    except LockedError:
        raise RunError(
            "make run is already running in this folder: use it, or stop it first"
        ) from None
    _check_ports(settings)
    install_missing(settings)


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with every address in it that the run itself needs to know."""
    defaults = _HOSTS | _OPEN | {name: str(port) for name, port in _PORTS.items()}
    return defaults | {name: value for name, value in environment.items() if value}


def _check_ports(settings: Mapping[str, str]) -> None:
    for name in _PORTS:
        port = settings[name]
        if not port.isdecimal() or not 0 < int(port) < 2**16:
            raise RunError(f"{name} must be a port, 1 to 65535")
        if not is_free(int(port), settings[_HOST_OF[name]]):
            raise RunError(f"port {port} is in use: stop what uses it, or set {name} to another")


def _start_servers(settings: dict[str, str], running: ExitStack) -> dict[str, Callable[[], bool]]:
    """Start the servers the settings name no other for, and put their URLs into the settings.

    Returns how to ask whether each of them still runs.
    """
    servers: dict[str, RabbitMQ | MongoDB] = {}
    if "AMQP_URL" not in settings:
        servers["RabbitMQ"] = RabbitMQ(_FOLDER / "rabbitmq")
    if "MONGODB_URL" not in settings:
        servers["MongoDB"] = MongoDB(_FOLDER / "mongodb")
    for name, server in servers.items():
        _say(f"starting {name} ...")
        running.callback(_stop_server, name, server)
        server.launch()
    urls = {}
    for server in servers.values():
        server.await_ready()
        variable = "AMQP_URL" if isinstance(server, RabbitMQ) else "MONGODB_URL"
        urls[variable] = server.url
    write_urls(_URLS, urls)
    settings.update(urls)
    return {name: server.is_alive for name, server in servers.items()}


def _start_services(
    settings: dict[str, str], running: ExitStack, stop: _Stop
) -> tuple[Service, Service]:
    """Start a gateway and a worker and wait until both are ready."""
    services = []
    # The gateway last, so that it is stopped first: the worker then stores what it accepted.
    for package, name, variable in (
        ("worker", "worker", "WORKER_OPS_PORT"),
        ("ingest", "gateway", "INGEST_OPS_PORT"),
    ):
        service = Service(package, name, _FOLDER, _url(settings, variable))
        _say(f"starting the {name} ...")
        running.callback(_stop_service, service)
        stop.hurries(service)
        service.start(settings)
        services.append(service)

    def have_settled() -> bool:
        return all(not s.process.is_alive() or s.is_ready() for s in services)

    wait_for(have_settled, _READY_DEADLINE_S)
    for service in services:
        if not service.is_ready():
            _fail(service, f"was not ready in {_READY_DEADLINE_S:.0f} s")
    worker, gateway = services
    return gateway, worker


def _fail(service: Service, otherwise: str) -> NoReturn:
    problem = otherwise if service.process.is_alive() else "ended"
    raise ServerError(
        f"the {service.name} {problem}; the end of {service.process.log}:\n"
        f"{service.process.log_tail()}"
    )


def _say_ready(settings: Mapping[str, str], gateway: Service, worker: Service) -> None:
    url = _url(settings, "INGEST_PORT")
    _say(
        f"\nReady on {url}. Store a metric and read it back:\n\n"
        f"{example.patch_command(url)}\n\n{example.get_command(url)}\n\n"
        f"A whole training run: make demo. Logs: {gateway.process.log} {worker.process.log}\n"
        f"The servers' URLs for a shell: . {_URLS}\n"
        "Ctrl-C stops everything; the data stays.\n"
    )


def _watch(gateway: Service, worker: Service, servers: dict[str, Callable[[], bool]]) -> NoReturn:
    """Show what happens until something ends."""
    status = StatusLine(sys.stdout)
    while True:
        for service in (gateway, worker):
            for complaint in service.new_complaints():
                status.note(f"{service.name}: {complaint}")
            if not service.process.is_alive():
                status.end()
                _fail(service, "")
        for name, is_alive in servers.items():
            if not is_alive():
                status.end()
                raise ServerError(f"{name} ended; its log is in {_FOLDER / name.lower()}")
        status.show(
            accepted=gateway.sample("ingest_updates_accepted_total"),
            queued=worker.sample("worker_queue_messages"),
            stored=worker.sample("worker_entries_applied_total"),
        )
        time.sleep(_WATCH_INTERVAL_S)


def _stop_service(service: Service) -> None:
    if service.process.is_alive():
        _say(f"stopping the {service.name} (it finishes what it has begun) ...")
    if not service.stop():
        _say(f"the {service.name} did not end in time and was killed")


def _stop_server(name: str, server: RabbitMQ | MongoDB) -> None:
    _say(f"stopping {name} ...")
    server.stop()


def _url(settings: Mapping[str, str], port_variable: str) -> str:
    host = settings[_HOST_OF[port_variable]]
    # A process bound to every address is asked on the loopback one.
    reachable = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, host)  # noqa: S104 - not bound here
    return f"http://{reachable}:{settings[port_variable]}"


def _say(text: str, output: TextIO | None = None) -> None:
    try:
        print(text, file=output, flush=True)
    except OSError:
        # The terminal or the pipe is gone; what was started must be stopped all the same.
        return
