"""Run the image's two commands as a pod would: another user, a root that is read-only, only /tmp.

The root is bound read-only in a namespace of mounts of its own; the network is this machine's, on
which RabbitMQ and MongoDB are started for it.
"""

import json
import os
import signal
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.image.build import Builder, ImageError
from deploy.local.client import Client
from deploy.local.example import BODY, PATH
from deploy.local.install import install_missing
from deploy.local.mongodb import MongoDB
from deploy.local.ports import LOOPBACK, choose_port
from deploy.local.process import Process, wait_for
from deploy.local.rabbitmq import RabbitMQ
from ingest.openapi.example import EXECUTION_ID

_READY_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 40.0
_COMMAND_TIMEOUT_S = 120
_OK, _NO_CONTENT = 200, 204
# What becomes the image's own first process, by exec all along: its id stays the same, and signals
# reach it. $1 is the root, $2 user and group.
_CONFINE = """
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" --groups= "$root" "$@"
"""
# Tries to write where nobody may, and tells who it is.
_TRY_TO_WRITE = """
import os, json, sys
def fails(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return "written"
places = ["/x", "/app/x", "/etc/x", sys.prefix + "/bin/x", "/tmp/x"]
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps({"uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
                  "capabilities": status["CapEff"].strip(),
                  "writes": {place: fails(place) for place in places}}))
"""


class Unpacked:
    """The image's files and configuration, and processes in them."""

    def __init__(self, root: Path, configuration: dict[str, Any]) -> None:
        self.root = root
        self.configuration = configuration
        self._given = dict(one.split("=", 1) for one in configuration["Env"])

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs the image's entry point, confined."""
        return self._confined([*self.configuration["Entrypoint"], *arguments])

    def _confined(self, command: list[str]) -> list[str]:
        unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _CONFINE, "sh"]
        return [*unshare, str(self.root), self.configuration["User"], *command]

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return a container's environment: the image's, with settings."""
        # The shell before it finds its programs there, too.
        return self._given | {"PATH": self._given["PATH"] + ":/usr/sbin:/sbin"} | dict(settings)

    def run(self, settings: Mapping[str, str], *arguments: str) -> str:
        """Run a command of the image to its end; returns what it prints."""
        return self._run(self.command(*arguments), settings)

    def run_python(self, program: str) -> str:
        """Run a program in the image's Python."""
        return self._run(self._confined([self.configuration["Entrypoint"][0], "-c", program]), {})

    def _run(self, command: list[str], settings: Mapping[str, str]) -> str:
        done = subprocess.run(
            command,
            env=self.environment(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise ImageError(f"{command[-3:]} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout


def check(builder: Builder) -> None:
    """Check the image that was built. Raises ImageError if something is not as it must be."""
    install_missing({})
    container, root = builder.unpack()
    try:
        image = Unpacked(root, builder.configuration())
        _check_files(image)
        _check_confinement(image)
        with _servers(builder.folder) as urls:
            _check_processes(image, urls, builder.folder)
    finally:
        builder.remove(container)


def _check_files(image: Unpacked) -> None:
    """Root's files, which others cannot change; nothing that only the build needed."""
    size_bytes = 0
    for folder, _, files in os.walk(image.root / "app"):
        for name in (".", *files):
            found = (Path(folder) / name).lstat()
            size_bytes += found.st_size
            writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if found.st_uid or found.st_gid or (writable and not stat.S_ISLNK(found.st_mode)):
                raise ImageError(f"{folder}/{name} is not only root's")
    for left in ("tools", "src", "wheels", "app/bin/uv", "app/bin/pip"):
        if (image.root / left).exists():
            raise ImageError(f"/{left} is not for the last stage")
    if not list((image.root / "app").glob("lib/python3*/site-packages/ingest/__pycache__/*.pyc")):
        raise ImageError("nothing is compiled: each start would do it, in vain")
    print(f"  files: root's alone, {size_bytes / 1e6:.0f} MB in /app")


def _check_confinement(image: Unpacked) -> None:
    """Look who it runs as: nobody in particular, who may write to /tmp only."""
    found = json.loads(image.run_python(_TRY_TO_WRITE))
    user, group = map(int, image.configuration["User"].split(":"))
    if (found["uid"], found["gid"], found["groups"]) != (user, group, []) or not user:
        raise ImageError(f"runs as somebody else: {found}")
    if int(found["capabilities"], 16):
        raise ImageError(f"has capabilities: {found}")
    written = [place for place, how in found["writes"].items() if how == "written"]
    refused = set(found["writes"].values()) - {"written"}
    if written != ["/tmp/x"] or refused != {os.strerror(30)}:  # noqa: S108 - EROFS but for /tmp
        raise ImageError(f"the root is not read-only: {found['writes']}")
    print(f"  user {image.configuration['User']}, no capabilities, a read-only root")


@contextmanager
def _servers(folder: Path) -> Iterator[dict[str, str]]:
    rabbitmq, mongodb = RabbitMQ(folder / "rabbitmq"), MongoDB(folder / "mongodb")
    try:
        for server in (rabbitmq, mongodb):
            server.launch()
        for server in (rabbitmq, mongodb):
            server.await_ready()
        yield {"AMQP_URL": rabbitmq.url, "MONGODB_URL": mongodb.url}
    finally:
        rabbitmq.stop()
        mongodb.stop()


def _check_processes(image: Unpacked, urls: dict[str, str], folder: Path) -> None:
    """Both commands: ready, an update through both, the other commands, a drain."""
    gateway, worker = choose_port(), choose_port()
    port = choose_port()
    settings = {
        "ingest": {
            "INGEST_AUTH": "none",
            "INGEST_PORT": f"{port}",
            "INGEST_OPS_PORT": f"{gateway}",
        },
        "worker": {"WORKER_OPS_PORT": f"{worker}"},
    }
    processes = {
        name: Process(name, folder / f"{name}.log", folder / f"{name}.pid") for name in settings
    }
    try:
        for name, process in processes.items():
            process.start(image.command(name), image.environment(urls | settings[name]))
        for process, ops_port in ((processes["ingest"], gateway), (processes["worker"], worker)):
            _await_ready(process, ops_port)
        _send_example(f"http://{LOOPBACK}:{port}")
        image.run_python("import ingest.traced, worker.traced")  # by the extra `tracing`
        image.run(urls, "worker", "compact")
        image.run(urls, "worker", "dead-letters", "list")
        print("  both commands: an update went through; compact and dead-letters run")
        for process in processes.values():
            _drain(process)
        print("  both drain at SIGTERM and end with 0")
    finally:
        for process in processes.values():
            process.kill()


def _await_ready(process: Process, port: int) -> None:
    def is_ready() -> bool:
        if not process.is_alive():
            raise ImageError(f"{process.name} ended:\n{process.log_tail()}")
        try:
            urllib.request.urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True

    if not wait_for(is_ready, _READY_DEADLINE_S):
        raise ImageError(f"{process.name} is not ready:\n{process.log_tail()}")


def _send_example(url: str) -> None:
    client = Client(url)
    try:
        status, _ = client.send("PATCH", PATH, BODY.encode())
        if status != _NO_CONTENT:
            raise ImageError(f"PATCH was answered {status}")
        status, body = client.send("GET", f"{PATH}?executionIds={EXECUTION_ID}")
        if status != _OK or not body["resources"][0]["metrics"]:
            raise ImageError(f"GET was answered {status}: {body}")
    finally:
        client.close()


def _drain(process: Process) -> None:
    identity = process.identity
    if identity is None:
        raise ImageError(f"{process.name} ended:\n{process.log_tail()}")
    identity.send(signal.SIGTERM)
    if not wait_for(lambda: not process.is_alive(), _STOP_DEADLINE_S) or process.exit_code != 0:
        raise ImageError(f"{process.name} ended with {process.exit_code}:\n{process.log_tail()}")
