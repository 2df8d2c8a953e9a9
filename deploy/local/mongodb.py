"""MongoDB on 127.0.0.1: a replica set of one member or more, as transactions need one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.install import require_mongod
from deploy.local.ports import LOOPBACK
from deploy.local.process import wait_for
from deploy.local.server import Command, Server, ServerError
from deploy.local.tls import Tls

_REPLICA_SET = "rs0"
_PRIMARY_DEADLINE_S = 60.0
_ANSWER_TIMEOUT_MS = 2000
# Error codes of the server: src/mongo/base/error_codes.yml in MongoDB's source.
_NOT_YET_INITIALIZED = 94


class Mongod(Server):
    """One member of a replica set; see Server for start, stop and kill.

    Ready means that it answers, not that it is a primary: that is the set's affair.
    """

    def __init__(
        self, name: str, folder: Path, *, port: int | None, cache_gb: float, tls: Tls | None = None
    ) -> None:
        """Prepare a member in `folder`; a free port is chosen and kept unless one is given."""
        super().__init__(name, folder, {"mongodb": port})
        self._cache_gb = cache_gb
        self._tls = tls
        # The driver and mongod want certificate and key in one file.
        self._certificate_key_file = self.folder / "tls.pem"

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self.ports["mongodb"]

    @property
    def address(self) -> str:
        """Host and port, as the replica set's configuration names a member."""
        return f"{LOOPBACK}:{self.port}"

    def _command(self) -> Command:
        database = self.folder / "data"
        database.mkdir(exist_ok=True)
        options = {
            "dbpath": database,
            "bind_ip": LOOPBACK,
            "port": self.port,
            "replSet": _REPLICA_SET,
            "oplogSize": 512,  # MB
            "wiredTigerCacheSizeGB": self._cache_gb,
            # The default, 6, takes several times the CPU, and makes few segments smaller.
            "zstdDefaultCompressionLevel": 1,
        } | self._tls_options()
        parameters = {
            # How long a primary that is asked to stop waits for another to take over.
            "shutdownTimeoutMillisForSignaledShutdown": 500,
            "diagnosticDataCollectionEnabled": "false",
        }
        arguments: list[str | Path] = [require_mongod(), "--nounixsocket", "--quiet"]
        if self._tls is not None and not self._tls.requires_clients:
            arguments.append("--tlsAllowConnectionsWithoutCertificates")
        arguments += [f"--{name}={value}" for name, value in options.items()]
        for name, value in parameters.items():
            arguments += ["--setParameter", f"{name}={value}"]
        return Command(arguments, {"LC_ALL": "C.UTF-8"})

    def _tls_options(self) -> dict[str, object]:
        tls, file = self._tls, self._certificate_key_file
        if tls is None:
            return {}
        file.touch(mode=0o600)
        file.write_text(tls.certificate.read_text() + tls.key.read_text())
        return {
            "tlsMode": "requireTLS",
            "tlsCertificateKeyFile": file,
            "tlsCAFile": tls.authority,
        }

    @contextmanager
    def connect(self) -> Iterator[MongoClient[dict[str, Any]]]:
        """Connect to this very member, whatever its state in the set."""
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {
                "tls": True,
                "tlsCAFile": str(self._tls.authority),
                "tlsCertificateKeyFile": str(self._certificate_key_file),
                "tlsAllowInvalidHostnames": True,
            }
        client: MongoClient[dict[str, Any]] = MongoClient(
            LOOPBACK,
            self.port,
            directConnection=True,
            serverSelectionTimeoutMS=_ANSWER_TIMEOUT_MS,
            socketTimeoutMS=5 * _ANSWER_TIMEOUT_MS,
            **tls,
        )
        try:
            yield client
        finally:
            client.close()

    def _is_ready(self) -> bool:
        try:
            with self.connect() as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True


class MongoDB:
    """A replica set on this machine; with one member, the usual case, simply a database.

    `start` and `stop` may be called in turn any number of times; data and ports stay. For fault
    tests `members` can be stopped, killed and started one by one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        members: int = 1,
        cache_gb: float = 0.5,
        tls: Tls | None = None,
    ) -> None:
        """Prepare a replica set in `folder`; `port` is the first member's, the others' are free."""
        self.members = [
            Mongod(
                f"mongod-{number}" if number else "mongod",
                folder / f"member-{number}",
                port=None if number else port,
                cache_gb=cache_gb,
                tls=tls,
            )
            for number in range(members)
        ]
        self._tls = tls

    @property
    def url(self) -> str:
        """The connection string, final once the set has started; with TLS, without a tlsCAFile."""
        addresses = ",".join(member.address for member in self.members)
        tls = "" if self._tls is None else "&tls=true"
        return f"mongodb://{addresses}/?replicaSet={_REPLICA_SET}{tls}"

    def is_alive(self) -> bool:
        """Say whether every member's process runs."""
        return all(member.is_alive() for member in self.members)

    def start(self, *, outlive_parent: bool = False) -> None:
        """Start the members that do not run and return when there is a primary.

        Raises ServerError if a member does not come up or no primary is elected in time.
        """
        self.launch(outlive_parent=outlive_parent)
        self.await_ready()

    def launch(self, *, outlive_parent: bool = False) -> None:
        """Start the processes only; the caller owes an `await_ready`."""
        for member in self.members:
            if not member.is_alive():
                member.launch(outlive_parent=outlive_parent)

    def await_ready(self) -> None:
        """Wait for the members, make or mend the replica set, and wait for its primary."""
        for member in self.members:
            member.await_ready()
        if not wait_for(self._is_configured, _PRIMARY_DEADLINE_S):
            self._fail("the replica set could not be configured")
        self.await_primary()

    def await_primary(self, deadline_s: float = _PRIMARY_DEADLINE_S) -> None:
        """Wait until one of the members takes writes. Raises ServerError after the deadline."""
        if not wait_for(lambda: self.primary() is not None, deadline_s):
            self._fail(f"no primary in {deadline_s:.0f} s")

    def _fail(self, problem: str) -> None:
        tails = "\n".join(f"{m.process.log}:\n{m.process.log_tail()}" for m in self.members)
        raise ServerError(f"MongoDB: {problem}; the end of {tails}")

    def primary(self) -> Mongod | None:
        """Return the member that takes writes now, if any."""
        for member in self.members:
            if not member.is_alive():
                continue
            try:
                with member.connect() as client:
                    if client.admin.command("hello").get("isWritablePrimary"):
                        return member
            except PyMongoError:
                continue
        return None

    def _is_configured(self) -> bool:
        """Bring the set's configuration in line with the members' addresses; False: ask again."""
        wanted = [
            {"_id": number, "host": member.address} for number, member in enumerate(self.members)
        ]
        try:
            with self.members[0].connect() as client:
                try:
                    present = client.admin.command("replSetGetConfig")["config"]
                except OperationFailure as error:
                    if error.code != _NOT_YET_INITIALIZED:
                        raise
                    settings = {"electionTimeoutMillis": 2000}
                    new = {"_id": _REPLICA_SET, "members": wanted, "settings": settings}
                    client.admin.command("replSetInitiate", new)
                    return True
                if [member["host"] for member in present["members"]] != [m["host"] for m in wanted]:
                    # The folder was last used on other ports, so no member finds itself in the
                    # configuration and none can be elected to change it: it has to be forced.
                    present["members"] = wanted
                    present["version"] += 1
                    client.admin.command("replSetReconfig", present, force=True)
                return True
        except PyMongoError:
            return False

    def stop(self) -> None:
        """Stop all members in good order, the first one last; nothing is left behind."""
        for member in reversed(self.members):
            member.stop()

    def kill(self) -> None:
        """Kill all members (SIGKILL), as a power failure would."""
        for member in self.members:
            member.kill()
