"""RabbitMQ on 127.0.0.1, one node in a folder of its own, several of which can form a cluster."""

import os
import secrets
import subprocess
from pathlib import Path

from deploy.local.amqp_probe import accepts_login
from deploy.local.install import require_program, require_rabbitmq
from deploy.local.ports import LOOPBACK, is_free
from deploy.local.server import Command, Server, ServerError
from deploy.local.tls import Tls

# RabbitMQ's own defaults; it lets this user in from the loopback interface only.
_USER = "guest"
_PASSWORD = "guest"  # noqa: S105 - not a secret
_CONTROL_TIMEOUT_S = 60

_PLAIN_LISTENER = """\
listeners.tcp.1 = {host}:{port}
"""
_TLS_LISTENER = """\
listeners.tcp = none
listeners.ssl.1 = {host}:{port}
ssl_options.cacertfile = {tls.authority}
ssl_options.certfile = {tls.certificate}
ssl_options.keyfile = {tls.key}
ssl_options.verify = {verify}
ssl_options.fail_if_no_peer_cert = {required}
"""
_CONFIGURATION = """\
log.console.level = info
# A quorum queue's write-ahead log is also held in memory up to this size: modest on one machine.
raft.wal_max_size_bytes = 64000000
"""


class Epmd(Server):
    """Erlang's port mapper, and the cookie that the nodes which share it know each other by.

    Each node brings its own unless several are to form a cluster. One that the Erlang runtime
    started by itself would listen on every interface and outlive the node.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare a port mapper in `folder`, with the nodes' common home and cookie."""
        super().__init__("epmd", folder, {"epmd": None})
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)

    @property
    def port(self) -> int:
        """The port that nodes register at."""
        return self.ports["epmd"]

    def environment(self) -> dict[str, str]:
        """Return the environment of any Erlang program that is to use this port mapper."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            # What is set for another broker on this machine must not reach ours.
            if not name.startswith(("RABBITMQ_", "ERL_", "NOTIFY_SOCKET"))
        }
        return inherited | {
            "HOME": str(self.folder),
            "ERL_CRASH_DUMP": str(self.folder / "erl_crash.dump"),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_FLAGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _command(self) -> Command:
        # Without -daemon it stays in the foreground, a child like any other.
        program = require_program("epmd")
        arguments: list[str | Path] = [program, "-address", LOOPBACK, "-port", str(self.port)]
        return Command(arguments, self.environment())

    def _is_ready(self) -> bool:
        return True  # it listens

    def _port_complaint(self) -> str | None:
        # It ends without a word.
        return None if is_free(self.port) else f"{self.port}"


class RabbitMQ(Server):
    """One RabbitMQ node; see Server for start, stop and kill.

    Nodes that are to form a cluster need different names and the same `epmd`: start the second
    and the third, then have each `join` the first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        name: str = "rabbit",
        epmd: Epmd | None = None,
        tls: Tls | None = None,
    ) -> None:
        """Prepare a node in `folder`; a free port is chosen and kept unless one is given."""
        super().__init__(name, folder, {"amqp": port, "distribution": None})
        self.epmd = epmd or Epmd(self.folder / "erlang")
        self._owns_epmd = epmd is None
        self._tls = tls

    @property
    def port(self) -> int:
        """The AMQP port."""
        return self.ports["amqp"]

    @property
    def url(self) -> str:
        """The AMQP URL, final once the node has started; with TLS, a client owes it a cafile."""
        scheme = "amqp" if self._tls is None else "amqps"
        return f"{scheme}://{_USER}:{_PASSWORD}@{LOOPBACK}:{self.port}/"

    @property
    def node_name(self) -> str:
        """The name by which the nodes of a cluster know this one."""
        return f"{self.name}@localhost"

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return self.epmd.environment() | {
            # The script then replaces itself by the Erlang machine instead of waiting for it.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": self.node_name,
            "RABBITMQ_DIST_PORT": str(self.ports["distribution"]),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            # None of the system's own settings: these files do not exist, or are empty.
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            # Schedulers that do not spin while idle: the other processes need the cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _command(self) -> Command:
        (self.folder / "rabbitmq.conf").write_text(self._listener() + _CONFIGURATION)
        (self.folder / "enabled_plugins").write_text("[].\n")
        return Command([require_rabbitmq()], self._environment())

    def _listener(self) -> str:
        tls = self._tls
        if tls is None:
            return _PLAIN_LISTENER.format(host=LOOPBACK, port=self.port)
        verify = "verify_peer" if tls.requires_clients else "verify_none"
        required = str(tls.requires_clients).lower()
        return _TLS_LISTENER.format(
            host=LOOPBACK, port=self.port, tls=tls, verify=verify, required=required
        )

    def _is_ready(self) -> bool:
        context = None if self._tls is None else self._tls.probe_context()
        return accepts_login((LOOPBACK, self.port), _USER, _PASSWORD, tls=context)

    def launch(self, *, outlive_parent: bool = False) -> None:
        """Start the port mapper, if it is this node's own, and the node's process."""
        if self._owns_epmd and not self.epmd.is_alive():
            self.epmd.start(outlive_parent=outlive_parent)
        super().launch(outlive_parent=outlive_parent)

    def stop(self) -> None:
        """Stop the node, then its own port mapper."""
        super().stop()
        if self._owns_epmd:
            self.epmd.stop()

    def kill(self) -> None:
        """Kill the node and its own port mapper."""
        super().kill()
        if self._owns_epmd:
            self.epmd.kill()

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on this node and return what it prints; takes a second or two.

        Raises ServerError with the tool's own words if it fails.
        """
        program = require_rabbitmq().with_name("rabbitmqctl")
        done = subprocess.run(
            [program, "--quiet", "--node", self.node_name, *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_CONTROL_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise ServerError(
                f"rabbitmqctl {' '.join(arguments)} failed: {done.stderr or done.stdout}"
            )
        return done.stdout

    def join(self, other: "RabbitMQ") -> None:
        """Make this running node, and lose what it holds, a member of the other's cluster."""
        self.control("stop_app")
        self.control("reset")
        self.control("join_cluster", other.node_name)
        self.control("start_app")
        self.await_ready()
