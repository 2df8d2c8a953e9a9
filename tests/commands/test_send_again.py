"""`send` when a gateway is busy, away, or refuses everything: what it repeats, and when it ends."""

import asyncio
import json
from typing import Any

import pytest

from tests.commands.command import GROUP, Scripted, ScriptedServer, lines, point, send
from tests.harness.client import EXAMPLE, Client
from tests.harness.commands import run_in_pipe, started
from tests.harness.services import Gateway, Site

BUSY = {"code": "02011032", "message": "busy", "details": [{"message": "as much as it may"}]}
REFUSED = {"code": "02011002", "message": "incorrect", "details": [{"message": "/tags: is bad"}]}


def error(status: int, error: dict[str, Any], **headers: str) -> Scripted:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(status, named, json.dumps({"error": error}).encode())


async def test_what_is_too_large_for_a_proxy_is_sent_in_smaller_requests() -> None:
    answers = [Scripted(413), Scripted(413, body=b"<html>")]
    updates = lines(*(point("run-1", step) for step in range(9)))
    with ScriptedServer(answers) as server:
        done = await run_in_pipe(send(server.url), "-", given=updates)
        sent = [json.loads(one.body)["metrics"] for one in server.requests]
    assert (done.code, done.out) == (0, "9 of 9 updates accepted in 5 requests\n")
    # All in one, its first half, the halves of that, and its second half.
    assert [len(metrics) for metrics in sent] == [9, 4, 2, 2, 5]
    assert [one["step"] for metrics in sent[2:] for one in metrics] == list(range(9))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_the_gateway_invites_to_repeat_is_repeated(status: int) -> None:
    answers = [error(status, BUSY, Retry_After="0")] * 2 + [Scripted(0)]
    with ScriptedServer(answers) as server:
        done = await run_in_pipe(send(server.url), "-", given=lines(EXAMPLE))
        assert done.code == 0, done.err
        assert f"status {status}, 02011032: busy: trying again\n" in done.err
        assert len(server.requests) == 4
        # The same bytes each time: nothing is a second point.
        assert len({one.body for one in server.requests}) == 1


async def test_a_metric_without_a_timestamp_is_repeated_with_the_same_one() -> None:
    with ScriptedServer([error(503, BUSY), error(503, BUSY)]) as server:
        done = await run_in_pipe(send(server.url), "-", given=lines(point("run-1", 1)))
        assert done.code == 0
        bodies = {one.body for one in server.requests}
        assert len(server.requests) == 3
    (body,) = bodies
    assert json.loads(body)["metrics"][0]["timestamp"].endswith("Z")


async def test_retry_after_beyond_all_patience_is_not_waited_for() -> None:
    with ScriptedServer([error(503, BUSY, Retry_After="3600")]) as server:
        done = await run_in_pipe(send(server.url), "-", given=lines(EXAMPLE))
        assert done.code == 1
        assert "asks to wait for 3600 s; gave up after 120 s" in done.err
        assert "0 of 1 updates accepted in 1 requests, 1 left" in done.out
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (error(401, REFUSED | {"code": "02011041"}), 3),
        (error(403, REFUSED | {"code": "02011042"}), 3),
        (error(404, REFUSED | {"code": "02011011"}), 3),
        (error(400, REFUSED | {"code": "02011004"}), 3),
        (Scripted(404, body=b"<html>nothing here \x1b[31m</html>"), 3),
        (Scripted(301, {"Location": "http://elsewhere/"}), 3),
        (Scripted(500), 3),
        (Scripted(200), 1),
    ],
)
async def test_what_would_be_answered_to_all_ends_the_command(answer: Scripted, code: int) -> None:
    with ScriptedServer([answer] * 10) as server:
        updates = lines(*({"executionId": f"run-{number}"} for number in range(50)))
        done = await run_in_pipe(send(server.url), "-", "--connections", "2", given=updates)
        assert done.code == code
        assert len(server.requests) <= 2
        assert "Failed: " in done.err
        assert done.out.startswith("0 of 50 updates accepted")


async def test_nobody_there_is_said_at_once_and_tried_again_as_long_as_told() -> None:
    with ScriptedServer() as server:
        url = server.url
    done = await run_in_pipe(send(url), "-", "--patience", "1", given=lines(EXAMPLE))
    assert done.code == 1
    where = f"no answer from {url}/v2/lm/metrics: Connection refused"
    assert done.err.startswith(f"{where}: trying again\n")
    assert done.err.endswith(f"Failed: {where}; gave up after 1 s (--patience)\n")


@pytest.mark.timeout(180)
async def test_a_gateway_that_is_killed_meanwhile_loses_and_doubles_nothing(site: Site) -> None:
    gateway, worker = site.gateway(), site.worker()
    gateway.launch()
    worker.launch()
    gateway.await_ready()
    worker.await_ready()
    executions = [f"run-{number}" for number in range(5)]
    async with started(send(gateway.url), "-", takes_input=True) as process:
        assert process.stdin is not None
        for step in range(2000):
            # No timestamps: a second attempt must not make second points.
            process.stdin.write(lines(*(point(execution, step, step) for execution in executions)))
            await process.stdin.drain()
            if step in (500, 1200):
                await asyncio.to_thread(gateway.kill)
                await asyncio.to_thread(gateway.start)
        process.stdin.close()
        async with asyncio.timeout(120):
            out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.startswith(b"10,000 of 10,000 updates accepted")
    async with Client(gateway.url, resource_group=GROUP) as client:
        for execution in executions:
            metrics = (await client.resource(execution))["metrics"]
            assert [one["step"] for one in metrics] == list(range(2000))
            assert [one["value"] for one in metrics] == list(range(2000))


async def test_a_rate_limit_slows_it_down_and_stops_nothing(gateway: Gateway, site: Site) -> None:
    limited = site.gateway(**gateway.environment, INGEST_GROUP_MAX_REQUESTS_PER_S="5")
    limited.start()
    updates = lines(*({"executionId": f"limited-{number}"} for number in range(12)))
    done = await run_in_pipe(send(limited.url), "-", "--connections", "12", given=updates)
    assert done.code == 0, done.err
    assert done.out == "12 of 12 updates accepted in 12 requests\n"
    assert (
        "status 429, 02011051: The resource group has used up its share: trying again" in done.err
    )
