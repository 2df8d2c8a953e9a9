"""The manifests' own settings start the processes here, with the manifests' own users and rights.

Only addresses are other ones: those of the servers, of the issuer of tokens, and our own.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from deploy.local.ports import LOOPBACK
from deploy.local.process import wait_for
from ingest.contract.topology import updates_queues
from tests.auth.issuer import Issuer
from tests.deploy.checks_of_pods import UNKNOWN, environment_of
from tests.deploy.objects import Object, Pod, named, overlay, pods
from tests.deploy.servers import GuardedMongoDB, WatchedRabbitMQ, grant
from tests.harness.ledger import Outcome
from tests.harness.load import Load
from tests.harness.services import ROOT, Gateway, Service, Worker
from tests.harness.stored import stored_by_get, stored_in_database

UPDATES = 400
DEADLINE_S = 60.0
# More than the manifests ask for, so that their patterns and rights are tried with several.
QUEUES = updates_queues(2)
# What stands for another address here.
_ADDRESSES = {"AMQP_URL", "MONGODB_URL", "INGEST_HOST", "WORKER_OPS_HOST", "INGEST_JWT_JWKS_URL"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster would make of the production overlay, as far as it can be had here."""

    objects: list[Object]
    broker: WatchedRabbitMQ
    database: GuardedMongoDB
    passwords: dict[str, str]
    issuer: Issuer

    def pod(self, name: str) -> Pod:
        (pod,) = (pod for pod in pods(self.objects) if pod.container["name"] == name)
        return pod

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment that a pod's container is rendered with, at other addresses."""
        pod = self.pod(name)
        rendered = environment_of(pod, self.objects)
        user = "worker" if name == "compaction" else name
        # The rendered URL itself, but for who and where.
        amqp = rendered.get("AMQP_URL", "")
        amqp = amqp.replace(f"{UNKNOWN}:{UNKNOWN}", f"{user}:{self.passwords[user]}")
        amqp = amqp.replace("metrics-rabbitmq:5672", f"{LOOPBACK}:{self.broker.port}")
        changed = {
            "AMQP_URL": amqp,
            "MONGODB_URL": self.database.url_for(user),
            "INGEST_HOST": LOOPBACK,
            "WORKER_OPS_HOST": LOOPBACK,
            "INGEST_JWT_JWKS_URL": self.issuer.url,
        }
        return rendered | {key: changed[key] for key in rendered.keys() & changed.keys()}

    def token(self) -> str:
        """Return a token that the rendered gateway must take."""
        rendered = environment_of(self.pod("gateway"), self.objects)
        return self.issuer.token(
            iss=rendered["INGEST_JWT_ISSUER"], aud=rendered["INGEST_JWT_AUDIENCE"]
        )


@pytest.fixture(scope="module")
def cluster(watched_broker: WatchedRabbitMQ, guarded_database: GuardedMongoDB) -> Iterator[Cluster]:
    objects = overlay("production")
    with Issuer() as issuer:
        passwords = grant(watched_broker, objects)
        yield Cluster(objects, watched_broker, guarded_database, passwords, issuer)


@pytest.mark.timeout(300)
async def test_the_rendered_settings_keep_the_promise(cluster: Cluster, tmp_path: Path) -> None:
    several = {"UPDATE_QUEUES": str(len(QUEUES))}
    gateway = Gateway(tmp_path, cluster.environment("gateway") | several)
    worker = Worker(tmp_path, cluster.environment("worker") | several)
    token = cluster.token()
    load = Load([gateway.url], connections=8, most=UPDATES, token=token)
    try:
        gateway.launch()
        await asyncio.to_thread(gateway.await_ready)
        await load.run()
        await asyncio.to_thread(the_scaler_sees_the_queue, cluster)
        worker.launch()
        await asyncio.to_thread(worker.await_ready)
        await all_is_stored(cluster, load)
        seen = await stored_by_get(gateway.url, load.executions, token=token)
        assert load.ledger.check(seen), load.ledger.check(seen)
        assert load.ledger.count(Outcome.ACCEPTED) == UPDATES
        assert_calm(gateway, worker)
        for service, name in ((gateway, "gateway"), (worker, "worker")):
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = cluster.pod(name).container[probe]["httpGet"]["path"]
                assert await asyncio.to_thread(service.operations, asked)
    finally:
        await asyncio.to_thread(gateway.stop)
        await asyncio.to_thread(worker.stop)
    job = cluster.pod("compaction").container["args"]
    # And what the runbook has an operator run inside a worker's pod, with a worker's rights.
    for name, arguments in (("compaction", job), ("worker", ["worker", "dead-letters", "list"])):
        done = await asyncio.to_thread(run_command, cluster, name, arguments)
        assert done.returncode == 0, done.stderr


async def all_is_stored(cluster: Cluster, load: Load) -> None:
    """Wait until the ledger is satisfied by what lies in the database."""
    url = cluster.database.url_for("worker")
    clock = asyncio.get_running_loop().time
    deadline = clock() + DEADLINE_S
    while True:
        found = await asyncio.to_thread(stored_in_database, url, "metrics")
        verdict = load.ledger.check(found)
        if verdict:
            return
        assert clock() < deadline, verdict
        await asyncio.sleep(0.2)


def the_scaler_sees_the_queue(cluster: Cluster) -> None:
    """Ask as KEDA does, as the user it has: the length of the queue, and nothing else."""
    trigger = named(cluster.objects, "ScaledObject", "worker")["spec"]["triggers"][0]["metadata"]
    assert trigger["vhostName"] == "/"
    # As the scaler is said to build it with useRegex: it was never seen doing so here.
    found = "management/api/queues/%2F?" + urlencode(
        {
            "page": 1,
            "use_regex": "true",
            "pagination": "false",
            "name": trigger["queueName"],
            "page_size": trigger["pageSize"],
        }
    )
    credentials = "keda", cluster.passwords["keda"]

    def counts() -> bool:  # the broker counts anew every few seconds
        status, body = cluster.broker.ask("GET", found, *credentials)
        assert status == 200, body
        items = json.loads(body)["items"]
        assert {item["name"] for item in items} == {queue.name for queue in QUEUES}
        # Of several queues, and not of one alone.
        return all(item.get("messages", 0) > 0 for item in items)

    assert wait_for(counts, DEADLINE_S)
    path = f"management/api/queues/%2F/{QUEUES[-1].name}"
    # The Topology Operator's policy is on the queue, beside the application's own arguments.

    def has_the_policy() -> bool:  # the broker tells with its next count
        _, body = cluster.broker.ask("GET", path, *credentials)
        queue = json.loads(body)
        assert queue["arguments"]["x-overflow"] == "reject-publish"
        return bool(queue.get("policy") == "metrics-updates")

    assert wait_for(has_the_policy, DEADLINE_S)
    status, _ = cluster.broker.ask("DELETE", f"{path}/contents", *credentials)
    assert status in {401, 403}
    # The others may not look, as they have no tag.
    status, _ = cluster.broker.ask("GET", path, "worker", cluster.passwords["worker"])
    assert status == 401


def run_command(
    cluster: Cluster, name: str, arguments: list[str]
) -> subprocess.CompletedProcess[str]:
    """Run a command with the environment of a pod, once."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=cluster.environment(name),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def assert_calm(*services: Service) -> None:
    for service in services:
        log = service.process.log.read_text()
        assert '"level":"error"' not in log, log
        assert "Traceback" not in log, log


def test_only_addresses_are_changed(cluster: Cluster) -> None:
    for name in ("gateway", "worker", "compaction"):
        rendered = environment_of(cluster.pod(name), cluster.objects)
        here = cluster.environment(name)
        assert rendered.keys() == here.keys()
        assert {key for key in here if here[key] != rendered[key]} <= _ADDRESSES


def test_the_database_lets_nobody_in_without_a_password(cluster: Cluster, tmp_path: Path) -> None:
    stranger = {"MONGODB_URL": cluster.database.url}
    worker = Worker(tmp_path, cluster.environment("worker") | stranger)
    worker.launch()
    try:
        assert wait_for(lambda: "requires authentication" in worker.process.log.read_text(), 30)
        assert not worker.is_ready()
    finally:
        worker.stop()
