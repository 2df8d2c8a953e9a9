"""`query`: what the gateway answers, for scripts as it comes and for people as a table."""

import asyncio
import json
import os
import select
import signal
import subprocess
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest

from deploy.local.ports import LOOPBACK
from tests.commands.command import JSON, Scripted, ScriptedServer, point, query
from tests.harness.client import EXAMPLE, Client
from tests.harness.commands import (
    COLUMNS,
    DEADLINE_S,
    run_in_pipe,
    run_in_shell,
    run_on_terminal,
    started,
    visible,
)
from tests.harness.services import Gateway


@pytest.fixture
def group() -> str:
    return f"query-{uuid4().hex}"


async def put(gateway: Gateway, group: str, *updates: dict[str, Any]) -> None:
    async with Client(gateway.url, resource_group=group) as client:
        for update in updates:
            await client.accepted(update)


async def test_a_pipe_gets_what_the_gateway_sends(gateway: Gateway, group: str) -> None:
    await put(gateway, group, EXAMPLE, point("run-2", 1))
    command = query(gateway.url, INGEST_RESOURCE_GROUP=group)
    done = await run_in_pipe(command, EXAMPLE["executionId"], "run-2")
    assert (done.code, done.err) == (0, "")
    async with Client(gateway.url, resource_group=group) as client:
        answer = await client.query(executionIds=f"{EXAMPLE['executionId']},run-2")
    assert done.out.encode() == answer.body + b"\n"


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        (["run-1", "run-2"], {"executionIds": "run-1,run-2"}),
        (["--filter", "executionId eq 'run-1'"], {"$filter": "executionId eq 'run-1'"}),
        (
            ["--tag-filters", "a=1,b!=%2C", "--top", "2", "--skip", "1"],
            {"tagFilters": "a=1,b!=%2C", "$top": "2", "$skip": "1"},
        ),
        (["run-1", "--select", "tags,*"], {"executionIds": "run-1", "$select": "tags,*"}),
    ],
)
async def test_every_parameter_of_the_api_can_be_given(
    arguments: list[str], parameters: dict[str, str]
) -> None:
    with ScriptedServer() as server:
        done = await run_in_pipe(query(server.url), *arguments)
        assert (done.code, done.out) == (0, '{"count":0,"resources":[]}\n')
        (request,) = server.requests
    assert dict(parse_qsl(urlsplit(request.path).query)) == parameters


async def test_what_is_not_there_has_an_exit_code_of_its_own(gateway: Gateway, group: str) -> None:
    done = await run_in_pipe(query(gateway.url, INGEST_RESOURCE_GROUP=group), "no-such-run")
    assert (done.code, done.out, done.err) == (4, "", "nothing was found\n")


async def test_a_refused_query_says_what_is_wrong(gateway: Gateway) -> None:
    done = await run_in_pipe(query(gateway.url), "x", "--top", "0")
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines() == [
        "Refused: status 400, 02011003: The query parameters are incorrect.",
        "  executionIds: 'x' is not an execution id: 4 to 64 letters, digits, '_', '.', '-'",
        "  $top: '0' is not an integer from 1 to 10000",
    ]
    nothing = await run_in_pipe(query(gateway.url))
    assert nothing.code == 2
    assert "--tag-filters" in nothing.err


async def test_a_path_that_is_no_gateway_s_is_not_taken_for_nothing_found(gateway: Gateway) -> None:
    done = await run_in_pipe(query(gateway.url + "/elsewhere"), "run-1")
    assert done.code == 3
    assert "02011011" in done.err


async def test_a_query_is_repeated_where_the_gateway_invites_to() -> None:
    with ScriptedServer([Scripted(503, {"Retry-After": "0"}), Scripted(0)]) as server:
        done = await run_in_pipe(query(server.url), "run-1")
        assert done.code == 0
        assert len(server.requests) == 3


async def test_half_an_answer_is_a_failure() -> None:
    with ScriptedServer([Scripted(200, JSON, b'{"count":1,', missing=100)]) as server:
        done = await run_in_pipe(query(server.url), "run-1")
        assert done.code == 1
        assert done.err.startswith("Failed: the answer broke off: ")
        assert len(server.requests) == 1  # some of it was printed already


async def test_a_large_answer_is_passed_on_as_it_comes(gateway: Gateway, group: str) -> None:
    metrics = [{"name": "loss", "value": step, "step": step} for step in range(1000)]
    for _ in range(8):
        await put(gateway, group, {"executionId": "run-large", "metrics": metrics})
    command = query(gateway.url, INGEST_RESOURCE_GROUP=group)
    done = await run_in_pipe(command, "run-large")
    assert len(json.loads(done.out)["resources"][0]["metrics"]) == 8000


async def test_who_reads_no_further_ends_it(gateway: Gateway, group: str) -> None:
    await put(gateway, group, EXAMPLE)
    command = query(gateway.url, INGEST_RESOURCE_GROUP=group)
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *command.line, EXAMPLE["executionId"], env=command.environment,
        stdout=writing, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(writing)
    os.close(reading)
    async with asyncio.timeout(DEADLINE_S):
        _, err = await process.communicate()
    assert (process.returncode, err) == (1, b"")


async def test_a_signal_ends_the_wait() -> None:
    with ScriptedServer([Scripted(503, {"Retry-After": "100"})]) as server:
        async with started(query(server.url), "run-1") as process:
            assert process.stderr is not None
            async with asyncio.timeout(30):
                assert b"trying again" in await process.stderr.readline()
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 130


async def test_a_signal_ends_a_query_that_is_not_answered() -> None:
    asked = asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(be_silent, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with started(query(f"http://{LOOPBACK}:{port}"), "run-1") as process:
            async with asyncio.timeout(30):  # half of what an answer may take
                await asked.wait()
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_even_if_nobody_reads_what_it_writes(number: signal.Signals) -> None:
    reading, writing = os.pipe()
    with ScriptedServer([Scripted(200, JSON, b" " * 2_000_000)]) as server:
        command = query(server.url)
        process = await asyncio.create_subprocess_exec(
            *command.line, "run-1", env=command.environment, stdout=writing
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                while select.select([], [writing], [], 0)[1]:  # until the pipe is full
                    await asyncio.sleep(0.01)
                process.send_signal(number)
                assert await process.wait() == 130
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            os.close(writing)
            os.close(reading)


async def test_a_full_disk_is_said() -> None:
    with ScriptedServer() as server:
        done = await run_in_shell('"$@" >/dev/full', query(server.url), "run-1")
    assert (done.code, done.err) == (1, "Failed: cannot write: No space left on device\n")


@pytest.mark.parametrize(
    "answer", [Scripted(200, {"Content-Type": "text/html"}, b"<html>Welcome</html>"), Scripted(204)]
)
async def test_what_no_gateway_answers_is_not_taken_for_an_answer(answer: Scripted) -> None:
    with ScriptedServer([answer]) as server:
        done = await run_in_pipe(query(server.url), "run-1")
        assert (done.code, done.out) == (3, "")
        assert "is the URL right?" in done.err


async def test_a_terminal_gets_tables(gateway: Gateway, group: str) -> None:
    more = {"tags": [{"name": "model", "value": "v" * 200}], "metrics": []}
    points = [point("run-2", step, 1 / (step + 1)) for step in range(3)]
    await put(gateway, group, EXAMPLE, {"executionId": "run-2"} | more, *points)
    command = query(gateway.url, INGEST_RESOURCE_GROUP=group)
    done = await run_on_terminal(command, EXAMPLE["executionId"], "run-2")
    assert done.code == 0
    shown = visible(done.out)
    assert EXAMPLE["executionId"] in shown
    assert any("Error Rate" in line and "0.98" in line for line in shown)
    row = next(line for line in shown if "loss" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "loss", "3", "2", "1", "0.333333", "0.333333", "1",
    ]  # fmt: skip
    assert "2 executions; --json prints everything" in shown
    assert max(map(len, shown)) <= COLUMNS
    as_json = await run_on_terminal(command, "run-2", "--json")
    assert json.loads("".join(visible(as_json.out)))["count"] == 1


async def test_what_is_stored_cannot_write_to_the_terminal(gateway: Gateway, group: str) -> None:
    evil = "a\x1b]0;owned\x07b"
    tags = [{"name": evil, "value": evil}]
    metrics = [{"name": evil, "value": 1, "labels": tags}]
    await put(gateway, group, {"executionId": "run-evil", "tags": tags, "metrics": metrics})
    done = await run_on_terminal(query(gateway.url, INGEST_RESOURCE_GROUP=group), "run-evil")
    assert done.code == 0
    assert "\x1b]" not in done.out
    assert "\x07" not in done.out
    assert "owned" in done.out
