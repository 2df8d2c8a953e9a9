"""`make demo`: pretty on a terminal, plain in a pipe, and patient as the gateway asks it to be."""

import asyncio
from contextlib import closing

import pytest

from deploy.local.client import Client, ClientError
from tests.commands.command import Scripted, ScriptedServer
from tests.harness.commands import COLUMNS, Command, run_in_pipe, run_on_terminal, visible
from tests.harness.services import Gateway

BUSY = {"Retry-After": "0"}


def demo(gateway: Gateway) -> Command:
    return Command(("deploy.local", "demo"), {"INGEST_URL": gateway.url.removesuffix("/v2")})


async def test_in_a_pipe_it_is_plain(gateway: Gateway) -> None:
    done = await run_in_pipe(demo(gateway))  # which fails at an escape sequence
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "sent 3,000 of 3,000 updates" in lines
    assert not any(set(line) & set("━┃│┏╸\r") for line in lines)
    (row,) = (line.split() for line in lines if line.startswith("loss "))
    assert row[1] == "3,000"
    assert lines[-1] == "All 9,000 accepted points are stored, each once."


async def test_on_a_terminal_it_is_pretty(gateway: Gateway) -> None:
    done = await run_on_terminal(demo(gateway))
    assert done.code == 0
    assert "\x1b[1m" in done.out
    shown = visible(done.out)
    assert any(line.startswith("sending ━") and "3000/3000" in line for line in shown)
    table = [line for line in shown if line.startswith(("┏", "┃", "┡", "│", "└"))]
    assert len(table) == 7
    assert max(map(len, table)) <= COLUMNS
    assert "sent 3,000 of 3,000 updates" not in shown


async def test_what_it_is_asked_to_wait_for_it_waits_for() -> None:
    def send(*answers: Scripted) -> tuple[int, int]:
        with ScriptedServer(answers) as server, closing(Client(server.url)) as client:
            status, _ = client.send("PATCH", "/v2/lm/metrics", b"{}")
            return status, len(server.requests)

    for status in (429, 502, 503, 504):
        busy = Scripted(status, BUSY)
        assert await asyncio.to_thread(send, busy, Scripted(0), busy) == (204, 4)
    # Longer than its patience: it neither waits nor asks earlier.
    with pytest.raises(ClientError, match="status 503, which asks to wait for 3600 s; gave up"):
        await asyncio.to_thread(send, Scripted(503, {"Retry-After": "3600"}))


async def test_retry_after_may_be_written_in_small_letters() -> None:
    def send() -> None:
        busy = Scripted(503, {"retry-after": "3600"})
        with ScriptedServer([busy]) as server, closing(Client(server.url)) as client:
            client.send("PATCH", "/v2/lm/metrics", b"{}")

    with pytest.raises(ClientError, match="asks to wait for 3600 s"):
        await asyncio.to_thread(send)


async def test_another_server_at_its_address_is_named() -> None:
    with ScriptedServer([Scripted(404, {"Content-Type": "text/html"}, b"<html>")]) as server:
        done = await run_in_pipe(Command(("deploy.local", "demo"), {"INGEST_URL": server.url}))
        assert done.code == 1
        assert "is no metric gateway" in done.err
