"""RabbitMQ that dies, is full, in alarm, or without its queue; and poison on the queue."""

import asyncio
import json
from typing import Any

from pymongo import MongoClient

from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.documents import TAGS
from ingest.contract.topology import DEAD_LETTER_QUEUE, UPDATES_EXCHANGE, UPDATES_QUEUE
from tests.faults.stage import Cast, Link, Stage
from tests.faults.trial import Dose, Fault, settled
from tests.harness.client import Client
from tests.harness.services import start_all
from tests.queue.broker_client import channel_of, length, put, until_saved

# A gateway that waits less for its confirms opens its breaker sooner.
_IMPATIENT = {"INGEST_CONFIRM_TIMEOUT_S": "3"}
_FOUR = {"UPDATE_QUEUES": "4"}
_DEAD_LETTERS_DEADLINE_S = 30
_POISON = (
    b"\xff\x00 no json",
    b'{"version":99,"id":"00","entries":[]}',
    b'{"version":1,"id":"%b","entries":[{"sequence":1}]}' % (b"0" * 24),
)


async def _kill_broker(stage: Stage, dose: Dose) -> None:
    for _ in range(dose.rounds):
        await until_saved(stage.broker)
        await asyncio.to_thread(stage.broker.kill)
        await dose.hold()
        await asyncio.to_thread(start_node, stage.broker)


async def _restart_broker(stage: Stage, dose: Dose) -> None:
    for _ in range(dose.rounds):
        await until_saved(stage.broker)
        await asyncio.to_thread(stage.broker.stop)
        await dose.hold()
        await asyncio.to_thread(start_node, stage.broker)


def start_node(node: RabbitMQ) -> None:
    """Start a node again, with the port mapper that died along with it."""
    if not node.epmd.is_alive():
        node.epmd.start()
    node.start()


async def _kill_leader(stage: Stage, dose: Dose) -> None:
    for _ in range(dose.rounds):
        leader = await _leader(stage)
        await until_saved(leader)
        await asyncio.to_thread(leader.kill)
        await dose.hold()
        await stage.sent(dose.updates)
        await asyncio.to_thread(start_node, leader)


async def _leader(stage: Stage) -> RabbitMQ:
    """Return the node that leads the queue of updates."""
    arguments = ("list_queues", "-p", stage.site.database_name, "name", "leader")
    listed = await asyncio.to_thread(_any(stage).control, *arguments, "--formatter", "json")
    leaders = {queue["name"]: queue["leader"] for queue in json.loads(listed)}
    (leader,) = (node for node in stage.nodes if node.node_name == leaders[UPDATES_QUEUE.name])
    return leader


def _any(stage: Stage) -> RabbitMQ:
    return next(node for node in stage.nodes if node.is_alive())


async def _raise_memory_alarm(stage: Stage, dose: Dose) -> None:
    await stage.control("set_vm_memory_high_watermark", "0.00001")
    await dose.hold()
    await stage.control("set_vm_memory_high_watermark", "0.6")


async def _raise_disk_alarm(stage: Stage, dose: Dose) -> None:
    await stage.control("set_disk_free_limit", f"{10**15}")
    await dose.hold()
    await stage.control("set_disk_free_limit", "1MB")


async def _fill_queue(stage: Stage, dose: Dose) -> None:
    vhost = stage.site.database_name
    limit = ('{"max-length":20}', "--apply-to", "queues")
    for worker in stage.workers:
        await asyncio.to_thread(worker.kill)
    await stage.control("set_policy", "-p", vhost, "short", ".*", *limit)
    await dose.hold()
    await start_all(*stage.workers)
    await stage.sent(dose.updates)
    await stage.control("clear_policy", "-p", vhost, "short")


async def _delete_exchange(stage: Stage, dose: Dose) -> None:
    for _ in range(dose.rounds):
        async with channel_of(stage.site) as channel:
            await channel.exchange_delete(UPDATES_EXCHANGE.name)
        await stage.sent(dose.updates)


async def _delete_queue(stage: Stage, dose: Dose) -> None:
    for _ in range(dose.rounds):
        # What is on a queue goes with it, and nobody could prevent that. So let it be empty.
        stage.load.pause()
        assert await settled(stage.load, stage)
        async with channel_of(stage.site) as channel:
            await channel.queue_delete(UPDATES_QUEUE.name)
        stage.load.resume()
        await stage.sent(dose.updates)


async def _poison(stage: Stage, dose: Dose) -> None:
    """Put on the queue what no worker can read, and through the gateway what MongoDB refuses."""
    with MongoClient[dict[str, Any]](stage.site.database_url) as mongo:
        database = mongo[stage.site.database_name]
        database.command("collMod", TAGS, validator={"name": {"$ne": "forbidden"}})
    refused = {"executionId": "forbidden", "tags": [{"name": "forbidden", "value": "v"}]}
    async with channel_of(stage.site) as channel, Client(stage.gateways[0].url) as client:
        for _ in range(dose.rounds):
            await put(channel, *_POISON)
            await client.accepted(refused)
            await stage.sent(dose.updates)
        expected = (len(_POISON) + 1) * dose.rounds
        async with asyncio.timeout(_DEAD_LETTERS_DEADLINE_S):
            while await length(channel, DEAD_LETTER_QUEUE) < expected:
                await asyncio.sleep(0.1)
        assert await length(channel, DEAD_LETTER_QUEUE) == expected
    counted = sum(worker.metric("worker_dead_letters_total") for worker in stage.workers)
    assert counted == expected, f"{counted} dead letters are counted, not {expected}"


_OWN = Cast(broker_nodes=1, settings=_IMPATIENT)
_BOTH = frozenset({Link.GATEWAY_BROKER, Link.WORKER_BROKER})

_AWAY = "the broker is killed, restarted, or short of memory or disk space"
_DELETED = "the exchange or the queue is deleted"

FAULTS = (
    Fault("the broker is killed", _AWAY, _kill_broker, _OWN),
    Fault("the broker is restarted", _AWAY, _restart_broker, _OWN, in_tests=False),
    Fault("the broker is short of memory", _AWAY, _raise_memory_alarm, _OWN),
    Fault("the broker is short of disk space", _AWAY, _raise_disk_alarm, _OWN, in_tests=False),
    Fault(
        "the leader of three brokers is killed",
        "one of three brokers is killed",
        _kill_leader,
        Cast(broker_nodes=3, gateways=2, workers=2, links=_BOTH, settings=_IMPATIENT),
        recovers_within_s=30,
    ),
    Fault(
        "the leader of one of four queues is killed",
        "one of three brokers is killed",
        _kill_leader,
        Cast(broker_nodes=3, gateways=2, workers=2, links=_BOTH, settings=_IMPATIENT | _FOUR),
        recovers_within_s=30,
        in_tests=False,
    ),
    Fault("the queue is full", "the queue is at its length limit", _fill_queue),
    Fault("the exchange is deleted", _DELETED, _delete_exchange),
    Fault("the queue is deleted, empty", _DELETED, _delete_queue),
    Fault("poison on the queue", "poison on the queue", _poison, Cast(workers=2), refuses=False),
)
