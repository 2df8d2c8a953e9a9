"""Servers as the manifests ask for them: who may do what is checked, and brokers are watched."""

import base64
import secrets
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from deploy.local.mongodb import Mongod, MongoDB
from deploy.local.ports import LOOPBACK, Ports
from deploy.local.rabbitmq import RabbitMQ
from deploy.local.server import Command
from tests.deploy.objects import Object, name_of, named, of_kind

_PLUGINS = "[rabbitmq_management,rabbitmq_prometheus].\n"


class WatchedRabbitMQ(RabbitMQ):
    """A broker with the plugins that the Cluster Operator switches on as well."""

    start_deadline_s = 120.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="watched")
        plugins = {"management": None, "prometheus": None}
        self.ports = Ports(
            self.folder / "watched.ports.json", {"amqp": None, "distribution": None} | plugins
        )

    def _command(self) -> Command:
        command = super()._command()
        (self.folder / "enabled_plugins").write_text(_PLUGINS)
        with (self.folder / "rabbitmq.conf").open("a") as configuration:
            for plugin in ("management", "prometheus"):
                configuration.write(f"{plugin}.tcp.ip = {LOOPBACK}\n")
                configuration.write(f"{plugin}.tcp.port = {self.ports[plugin]}\n")
        return command

    def ask(self, method: str, path: str, user: str = "", password: str = "") -> tuple[int, bytes]:
        """Ask a plugin, by the path of its name; returns status and body."""
        plugin, _, rest = path.partition("/")
        request = Request(f"http://{LOOPBACK}:{self.ports[plugin]}/{rest}", method=method)
        if user:
            credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {credentials}")
        try:
            with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()


def grant(broker: RabbitMQ, objects: list[Object]) -> dict[str, str]:
    """Make the users, permissions and policies of the manifests; returns the passwords."""
    passwords = {}
    for user in of_kind(objects, "User"):
        # As the Topology Operator makes them up.
        passwords[name_of(user)] = secrets.token_urlsafe(24)
        broker.control("add_user", name_of(user), passwords[name_of(user)])
        if tags := user["spec"].get("tags", ()):
            broker.control("set_user_tags", name_of(user), *tags)
    for one in of_kind(objects, "Permission"):
        spec = one["spec"]
        rights = (spec["permissions"][right] for right in ("configure", "write", "read"))
        user_name = spec["userReference"]["name"]
        broker.control("set_permissions", "-p", spec["vhost"], user_name, *rights)
    for one in of_kind(objects, "Policy"):
        spec = one["spec"]
        (definition,) = spec["definition"].items()
        text = f'{{"{definition[0]}": {definition[1]}}}'
        arguments = ["-p", spec["vhost"], "--apply-to", spec["applyTo"]]
        broker.control("set_policy", *arguments, spec["name"], spec["pattern"], text)
    return passwords


class _GuardedMongod(Mongod):
    """A member that, once told to, lets nobody in without a password."""

    guarded = False

    def _command(self) -> Command:
        command = super()._command()
        if not self.guarded:
            return command
        key = self.folder / "key"
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(32))
        return Command([*command.arguments, "--auth", "--keyFile", key], command.environment)


class GuardedMongoDB(MongoDB):
    """A replica set of one, with the users of the manifests and no others."""

    def __init__(self, folder: Path, objects: list[Object]) -> None:
        super().__init__(folder)
        self._member = _GuardedMongod("mongod", folder / "member", port=None, cache_gb=0.5)
        self.members = [self._member]
        self._users = named(objects, "MongoDBCommunity", "metrics-mongodb")["spec"]["users"]
        self.passwords = {user["name"]: secrets.token_hex(16) for user in self._users}

    def await_ready(self) -> None:
        """Make the users while everyone may, and begin anew for those alone."""
        super().await_ready()
        with self._member.connect() as client:
            for user in self._users:
                roles = [{"role": role["name"], "db": role["db"]} for role in user["roles"]]
                password = self.passwords[user["name"]]
                client[user["db"]].command("createUser", user["name"], pwd=password, roles=roles)
        self._member.stop()
        self._member.guarded = True
        self._member.start()
        self.await_primary()

    def url_for(self, user: str) -> str:
        """Return the connection string of one of the users, as the operator writes it."""
        credentials = f"{user}:{self.passwords[user]}"
        return self.url.replace("mongodb://", f"mongodb://{credentials}@").replace("/?", "/admin?")
