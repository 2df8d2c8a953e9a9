"""What goes wrong is said in a sentence that tells what to change; a password is never in it."""

import asyncio
import subprocess
import sys

import pytest

from deploy.local.ports import LOOPBACK, choose_port
from deploy.local.rabbitmq import RabbitMQ
from tests.dead_letters.command import (
    environment,
    letter,
    message,
    put_letters,
    run,
    run_with,
    started,
)
from tests.faults.proxy import Proxy
from tests.harness.commands import DEADLINE_S
from tests.harness.services import ROOT, Site
from tests.queue.broker_client import channel_of

SECRET = "hunter2"  # noqa: S105 - no secret, but looked for as if it were one


@pytest.mark.parametrize("command", ["list", "replay"])
async def test_a_broker_that_is_away_is_exit_1(command: str) -> None:
    url = f"amqp://user:{SECRET}@{LOOPBACK}:{choose_port()}/"
    done = await run_with(environment(url), command)
    assert done.code == 1
    assert done.err.startswith("Failed: no connection to the broker that AMQP_URL names: ")
    assert done.out == ""
    assert SECRET not in done.out + done.err


async def test_a_broker_that_is_silent_is_exit_1() -> None:
    ended = asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(be_silent, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        done = await run_with(environment(f"amqp://user:{SECRET}@{LOOPBACK}:{port}/"), "list")
        await ended.wait()
    assert done.code == 1
    assert "does not answer within 5 s" in done.err


async def test_wrong_credentials_are_named_without_the_password(site: Site) -> None:
    done = await run_with(environment(site.amqp_url.replace(":guest@", f":{SECRET}@")), "list")
    assert done.code == 1
    assert "refuses the user or password of AMQP_URL" in done.err
    assert SECRET not in done.out + done.err


@pytest.mark.parametrize("url", ["", f"http://user:{SECRET}@host/"])
async def test_missing_or_wrong_settings_are_exit_2_as_for_every_process(url: str) -> None:
    done = await run_with(environment(url), "list")
    assert done.code == 2
    assert done.err.startswith("Cannot start, the settings need a change:\nAMQP_URL ")
    assert SECRET not in done.out + done.err
    assert "MONGODB_URL" not in done.err


async def test_a_virtual_host_without_the_queues_is_named_and_left_as_it_is(site: Site) -> None:
    for command in ("list", "replay"):  # the first did not declare them either
        done = await run(site, command)
        assert done.code == 1
        assert "there is no queue metrics.updates" in done.err
        assert "AMQP_URL" in done.err


@pytest.mark.parametrize(
    "arguments",
    [["list", "--limit", "0"], ["show", "--id", "xyz"], ["show", "--id", "abc"], [], ["mend"]],
)
async def test_wrong_arguments_are_exit_2_with_the_usage(arguments: list[str]) -> None:
    done = await run_with(environment("amqp://host"), *arguments)
    assert done.code == 2
    assert done.err.startswith("usage: python -m worker dead-letters")


async def test_a_reader_that_leaves_early_causes_no_traceback(site: Site) -> None:
    async with channel_of(site) as channel:
        letters = [letter(message("an-execution", number=n), "refused") for n in range(2000)]
        await put_letters(channel, *letters)
        async with started(environment(site.amqp_url), "list", "--json") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            await process.stdout.readline()
            process.stdout._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
            err = await process.stderr.read()
            await process.wait()
        assert b"Traceback" not in err, err.decode()
        assert process.returncode == 1


async def test_a_broker_that_becomes_silent_in_mid_walk_ends_the_command(
    site: Site, broker: RabbitMQ
) -> None:
    async with channel_of(site) as channel, Proxy(broker.port) as proxy:
        letters = [letter(message("an-execution", number=n), "refused") for n in range(5000)]
        await put_letters(channel, *letters)
        url = site.amqp_url.replace(f":{broker.port}/", f":{proxy.port}/")
        async with started(environment(url), "list", "--json") as process:
            assert process.stdout is not None
            # It goes no further than its unread output lets it.
            await process.stdout.readline()
            proxy.silence()
            async with asyncio.timeout(DEADLINE_S):
                _, err = await process.communicate()
        assert process.returncode == 1
        assert err.decode() == "Failed: the broker did not answer in time\n"


def test_help_explains_the_worker_and_the_commands() -> None:
    command = [sys.executable, "-m", "worker", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Without a command: run a worker" in done.stdout
    assert "dead-letters" in done.stdout
