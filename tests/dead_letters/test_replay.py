"""`replay`: what it replays becomes visible once, whatever interrupts or repeats it."""

import asyncio
import signal
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel
from pymongo import MongoClient

from deploy.local.process import wait_for
from deploy.local.rabbitmq import RabbitMQ
from ingest.contract.topology import DEAD_LETTER_QUEUE, UPDATES_QUEUE
from tests.dead_letters.command import (
    environment,
    letter,
    message,
    put_letters,
    run,
    run_on_terminal,
    started,
    until_dead,
)
from tests.faults.proxy import Proxy
from tests.harness.client import Client
from tests.harness.commands import DEADLINE_S
from tests.harness.services import Site, start_all
from tests.queue.broker_client import channel_of, length, put, until_length


async def set_delivery_limit(broker: RabbitMQ, site: Site) -> None:
    policy = ("set_policy", "-p", site.database_name, "short", "metrics.updates")
    limit = '{"delivery-limit":1}'
    await asyncio.to_thread(broker.control, *policy, limit, "--apply-to", "queues")


async def die_with_it(channel: AbstractChannel) -> None:
    """Take what is on the queue of updates and give it back until the broker gives it up."""
    queue = await channel.get_queue(UPDATES_QUEUE.name, ensure=False)
    async with asyncio.timeout(DEADLINE_S):
        while await length(channel, DEAD_LETTER_QUEUE) == 0:
            taken = await queue.get(fail=False)
            if taken is not None:
                await taken.nack(requeue=True)


def allow(site: Site, validator: dict[str, Any]) -> None:
    with MongoClient[dict[str, Any]](site.database_url) as mongo:
        mongo[site.database_name].command("collMod", "tags", validator=validator)


async def test_what_worker_and_broker_gave_up_is_visible_once_after_its_cause_is_mended(
    site: Site, broker: RabbitMQ
) -> None:
    gateway, worker = site.gateway(), site.worker()
    await start_all(gateway, worker)
    worker.stop()
    tags = [{"name": "forbidden", "value": "v"}]
    async with channel_of(site) as channel, Client(gateway.url) as client:
        await set_delivery_limit(broker, site)
        await put(channel, message("many-1", "many-2"))
        await die_with_it(channel)
        await asyncio.to_thread(allow, site, {"name": {"$ne": "forbidden"}})
        invalid = message("invalid", number=2, tags=[{"name": "t", "value": 1}])
        refused = message("refused-1", "refused-2", number=1, tags=tags)
        await put(channel, refused, b"no json", invalid)
        worker.launch()
        await until_dead(channel, 5)
        gauge_is_right = lambda: worker.metric("worker_dead_letter_messages") == 5  # noqa: E731
        assert await asyncio.to_thread(wait_for, gauge_is_right, DEADLINE_S)

        found = (await run(site, "list", "--json")).objects
        assert {one["reason"] for one in found} == {
            "delivery-limit", "refused", "undecodable", "invalid-entry",
        }  # fmt: skip
        assert all(one["deadLetteredAt"] for one in found)
        (by_broker,) = (one for one in found if one["reason"] == "delivery-limit")
        assert by_broker["entries"] == 2
        assert [one["executionId"] for one in by_broker["resources"]] == ["many-1", "many-2"]
        assert "x-death" in (await run(site, "show", "--reason", "delivery-limit")).out

        await asyncio.to_thread(allow, site, {})
        done = await run(site, "replay", "--execution", "many-2")
        assert (done.code, done.out) == (0, "1 replayed, 4 left\n")
        done = await run(site, "replay", "--reason", "refused")
        assert (done.code, done.out) == (0, "2 replayed, 2 left\n")
        await until_length(channel, 0)
        for execution_id in ("many-1", "many-2", "refused-1", "refused-2"):
            metrics = await until_visible(client, execution_id)
            assert len(metrics) == 1
        # What is not mended comes back; the walk does not wait for it.
        done = await run(site, "replay")
        assert (done.code, done.out) == (0, "2 replayed, 0 left\n")
        await until_dead(channel, 2)


async def until_visible(client: Client, execution_id: str) -> list[Any]:
    async with asyncio.timeout(DEADLINE_S):
        while (await client.query(executionIds=execution_id)).status != 200:
            await asyncio.sleep(0.05)
    metrics: list[Any] = (await client.resource(execution_id))["metrics"]
    return metrics


async def until_stored(client: Client, count: int) -> list[Any]:
    """Wait until so many points of the execution `many` are visible; returns them."""
    async with asyncio.timeout(DEADLINE_S):
        while len(metrics := await until_visible(client, "many")) < count:
            await asyncio.sleep(0.1)
    return metrics


def many(count: int) -> list[aio_pika.Message]:
    return [letter(message("many", number=number), "refused") for number in range(count)]


async def test_killed_repeated_and_side_by_side_replays_lose_and_double_nothing(
    site: Site,
) -> None:
    gateway, worker = site.gateway(), site.worker()
    await start_all(gateway, worker)
    count = 2500
    async with channel_of(site) as channel, Client(gateway.url) as client:
        await put_letters(channel, *many(count))
        async with started(environment(site.amqp_url), "replay") as process:
            async with asyncio.timeout(DEADLINE_S):
                while worker.metric("worker_entries_applied_total") < 100:
                    await asyncio.sleep(0.02)
            process.kill()
            await process.wait()
        # What the killed one held returns when the broker has noticed.
        async with asyncio.timeout(DEADLINE_S):
            while (left := await length(channel, DEAD_LETTER_QUEUE)) == 0:
                await asyncio.sleep(0.02)
        assert left < count
        # The same letters again, as from a replay that was killed between confirm and ack.
        await put_letters(channel, *many(300))
        both = await asyncio.gather(run(site, "replay"), run(site, "replay"))
        assert [done.code for done in both] == [0, 0]
        await until_dead(channel, 0)
        metrics = await until_stored(client, count)
        await until_length(channel, 0)
        assert sorted(metric["step"] for metric in metrics) == list(range(count))
        assert worker.metric("worker_dead_letters_total") == 0
        assert worker.metric("worker_duplicate_segments_total") >= 300


async def test_the_body_that_is_replayed_is_the_same_byte_by_byte(site: Site) -> None:
    bodies = [b"\xff no json", b'{"a": 1,  "a":1}', message("execution")]
    async with channel_of(site) as channel:
        for body in bodies:
            await put_letters(channel, letter(body, "undecodable"))
        done = await run(site, "replay", "--limit", "2")
        assert (done.code, done.out) == (0, "2 replayed, 1 left\n")
        assert (await run(site, "replay")).out == "1 replayed, 0 left\n"
        queue = await channel.get_queue(UPDATES_QUEUE.name, ensure=False)
        for body in bodies:
            taken = await queue.get()
            assert taken.body == body
            assert taken.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
            assert taken.headers.keys() <= {"x-delivery-count"}  # the queue's own
            await taken.ack()


async def test_a_full_queue_ends_a_replay_and_the_letters_stay(
    site: Site, broker: RabbitMQ
) -> None:
    async with channel_of(site) as channel:
        await put_letters(channel, *many(500))
        policy = ("set_policy", "-p", site.database_name, "full", "metrics.updates")
        await asyncio.to_thread(
            broker.control, *policy, '{"max-length":10}', "--apply-to", "queues"
        )
        done = await run(site, "replay")
        assert done.code == 1
        assert "the queue of updates is full" in done.err
        replayed, left, failed = (int(part.split()[0]) for part in done.out.split(", "))
        assert failed > 0
        assert replayed + left + failed == 500
        assert await length(channel, DEAD_LETTER_QUEUE) == left + failed
        assert await length(channel) == replayed


async def test_ctrl_c_ends_with_what_was_done_and_the_rest_stays(site: Site) -> None:
    async with channel_of(site) as channel:
        count = 6000
        await put_letters(channel, *many(count))
        async with started(environment(site.amqp_url), "replay") as process:
            async with asyncio.timeout(DEADLINE_S):
                while await length(channel) < 100:
                    await asyncio.sleep(0.01)
                process.send_signal(signal.SIGINT)
                out, err = await process.communicate()
        assert process.returncode == 130
        assert b"Traceback" not in err
        replayed, left = (
            int(part.split()[0].replace(",", "")) for part in out.decode().split(", ")
        )
        assert replayed + left == count
        assert left > 0
        assert await length(channel, DEAD_LETTER_QUEUE) == left
        assert await length(channel) == replayed


async def test_a_connection_lost_in_mid_replay_is_told_with_what_was_done(
    site: Site, broker: RabbitMQ
) -> None:
    async with channel_of(site) as channel, Proxy(broker.port) as proxy:
        count = 6000
        bodies = [message("many", number=number) for number in range(count)]
        # Few match: it is nearly always waiting for the next one when the connection goes.
        reasons = ["undecodable"] * 9 + ["refused"]
        letters = [letter(body, reasons[n % 10]) for n, body in enumerate(bodies)]
        await put_letters(channel, *letters)
        url = site.amqp_url.replace(f":{broker.port}/", f":{proxy.port}/")
        async with started(environment(url), "replay", "--reason", "refused") as process:
            async with asyncio.timeout(DEADLINE_S):
                while await length(channel) < 20:
                    await asyncio.sleep(0.01)
                proxy.cut()
                out, err = await process.communicate()
        assert process.returncode == 1
        assert b"Traceback" not in err, err.decode()
        assert "Failed: " in err.decode()
        replayed, *others = (
            int(part.split()[0].replace(",", "")) for part in out.decode().split(", ")
        )
        assert replayed >= 1
        assert replayed + sum(others) == count


async def test_what_others_took_meanwhile_is_not_passed_over(site: Site) -> None:
    async with channel_of(site) as channel:
        count = 3000
        await put_letters(channel, *many(count))
        async with started(environment(site.amqp_url), "replay") as process:
            async with asyncio.timeout(DEADLINE_S):
                while await length(channel) < 100:
                    await asyncio.sleep(0.01)
                process.send_signal(signal.SIGSTOP)
                queue = await channel.get_queue(DEAD_LETTER_QUEUE.name, ensure=False)
                await queue.purge()
                process.send_signal(signal.SIGCONT)
                out, _ = await process.communicate()
        assert process.returncode == 0
        replayed, left, elsewhere = out.decode().split(", ")
        assert left == "0 left"
        assert elsewhere.partition(" ")[2] == "held or removed by another command\n"
        assert int(replayed.split()[0].replace(",", "")) == await length(channel)
        taken = int(elsewhere.split()[0].replace(",", ""))
        assert taken == count - await length(channel)


async def test_on_a_terminal_a_bar_shows_progress_and_leaves_the_result(site: Site) -> None:
    async with channel_of(site) as channel:
        await put_letters(channel, *many(1000))
        done = await run_on_terminal(site, "replay")
        assert done.code == 0
        assert "━" in done.out
        assert done.out.replace("\r", "").endswith("1,000 replayed, 0 left\n")
