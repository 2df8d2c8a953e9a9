"""`list` and `show`: everything that is there, safe to look at, and nothing changes by looking."""

import asyncio
import hashlib
import json

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from ingest.contract.topology import DEAD_LETTER_QUEUE
from tests.dead_letters.command import (
    letter,
    message,
    put_letters,
    run,
    run_on_terminal,
)
from tests.harness.commands import COLUMNS, DEADLINE_S, Done, visible
from tests.harness.services import Site
from tests.queue.broker_client import channel_of, length

REFUSED = message("execution-1", group="group-a")
INVALID = message("execution-2", "execution-3", number=1, group="group-b")
UNDECODABLE = b"\xff\x00\x1b[31m no json"
UNKNOWN_VERSION = b'{"version":2,"entries":[{"resourceGroup":"group-c"},7]}'
HOSTILE = "a \x1b]0;title\x07\x9b31m \u202e\x7f\ud83d\ude00".encode("utf-16", "surrogatepass")
HOSTILE_TEXT = HOSTILE.decode("utf-16")
LETTERS = (
    letter(REFUSED, "refused", HOSTILE_TEXT, "group-a", "execution-1"),
    letter(INVALID, "invalid-entry", "entry 0: not an entry"),
    letter(UNDECODABLE, "undecodable", "not JSON"),
    letter(UNKNOWN_VERSION, "undecodable", "unknown message version 2"),
)


def short_id(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:12]


ALL = [short_id(body) for body in (REFUSED, INVALID, UNDECODABLE, UNKNOWN_VERSION)]


async def put_all(channel: AbstractChannel) -> None:
    for one in LETTERS:
        await put_letters(channel, one)


async def test_every_filter_picks_what_it_says_and_looking_changes_nothing(site: Site) -> None:
    async with channel_of(site) as channel:
        await put_all(channel)

        async def listed(*filters: str) -> list[str]:
            done = await run(site, "list", "--json", *filters)
            assert (done.code, done.err) == (0, "")
            return [one["id"] for one in done.objects]

        assert await listed() == ALL
        assert await listed("--reason", "undecodable") == ALL[2:]
        assert await listed("--resource-group", "group-c") == ALL[3:]
        assert await listed("--execution", "execution-3") == ALL[1:2]
        assert await listed("--execution", "execution-3", "--resource-group", "group-a") == []
        assert await listed("--id", ALL[2][:6].upper(), "--id", ALL[0]) == [ALL[0], ALL[2]]
        assert await length(channel, DEAD_LETTER_QUEUE) == len(LETTERS)


async def test_a_json_line_has_what_a_script_needs(site: Site) -> None:
    async with channel_of(site) as channel:
        await put_all(channel)
        done = await run(site, "list", "--json", "--limit", "2")
        assert "2 dead letters not looked at" in done.err
        refused, invalid = done.objects
        assert done.out.isascii()
        assert refused == {
            "id": ALL[0],
            "deadLetteredAt": "2026-11-23T12:34:56Z",
            "reason": "refused",
            "detail": HOSTILE_TEXT,
            "resources": [{"resourceGroup": "group-a", "executionId": "execution-1"}],
            "entries": 1,
            "bytes": len(REFUSED),
        }
        assert [one["executionId"] for one in invalid["resources"]] == [
            "execution-2",
            "execution-3",
        ]


def assert_harmless(text: str) -> None:
    assert all(character.isprintable() or character == "\n" for character in text)


async def test_in_a_pipe_a_letter_is_a_line_and_nothing_is_cut_that_identifies_it(
    site: Site,
) -> None:
    async with channel_of(site) as channel:
        await put_all(channel)
        done = await run(site, "list")
        assert_harmless(done.out)
        header, *rows = done.out.splitlines()[:5]
        assert header.split()[0] == "ID"
        assert [row.split()[0] for row in rows] == ALL
        assert rows[0].split()[1:6] == ["2026-11-23", "12:34:56", "refused", "group-a", "execution-1"]  # fmt: skip  # noqa: E501
        assert "execution-2 (+1)" in rows[1]
        assert "undecodable" in done.out.splitlines()[-4]
        limited = await run(site, "list", "--limit", "1")
        assert "and 3 more" in limited.out
        assert limited.out.splitlines()[-1].split()[:2] == ["all", "4"]


async def test_on_a_terminal_of_80_columns_no_line_is_longer_and_ids_are_whole(site: Site) -> None:
    execution_id = "aa97b177-9383-4934-8543-0f91a7a0283a"
    async with channel_of(site) as channel:
        long = letter(REFUSED, "refused", "x" * 300, "default", execution_id)
        await put_letters(channel, long)
        await put_all(channel)
        done = await run_on_terminal(site, "list")
        lines = visible(done.out)
        assert done.code == 0
        assert_harmless("\n".join(lines))
        assert max(map(len, lines)) <= COLUMNS
        assert [line[:12] for line in lines if line[:12] in ALL] == [ALL[0], *ALL]
        assert f"default / {execution_id}" in done.out


def body_of(done: Done) -> str:
    return done.out.partition("  body\n")[2]


async def test_show_prints_the_whole_message_and_its_circumstances(site: Site) -> None:
    async with channel_of(site) as channel:
        await put_all(channel)
        done = await run(site, "show", "--id", ALL[0])
        assert_harmless(done.out)
        assert hashlib.sha256(REFUSED).hexdigest() in done.out
        assert "group-a / execution-1" in done.out
        assert r"\u001b]0;title\u0007\u009b31m" in done.out
        assert json.loads(body_of(done)) == json.loads(REFUSED)


async def test_show_looks_no_further_than_all_whole_ids(site: Site) -> None:
    async with channel_of(site) as channel:
        await put_all(channel)
        await put_all(channel)
        whole = [hashlib.sha256(body).hexdigest() for body in (REFUSED, UNDECODABLE)]
        done = await run(site, "show", "--id", whole[0], "--id", whole[1])
        shown = [line for line in done.out.splitlines() if line.startswith("dead letter ")]
        assert shown == [f"dead letter {ALL[0]}", f"dead letter {ALL[2]}"]
        assert (done.code, done.err) == (0, "")
        done = await run(site, "show", "--id", ALL[0])  # a beginning may be that of another, too
        assert done.out.count(f"dead letter {ALL[0]}") == 2


async def test_what_another_command_holds_is_mentioned(site: Site) -> None:
    async with channel_of(site) as channel:
        await put_all(channel)
        queue = await channel.get_queue(DEAD_LETTER_QUEUE.name, ensure=False)
        await channel.set_qos(prefetch_count=2)
        held: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(held.put)
        async with asyncio.timeout(DEADLINE_S):
            await held.get()
            await held.get()
        for command in ("list", "show", "drop"):
            done = await run(site, command, *(["--all", "--yes"] if command == "drop" else []))
            assert done.code == 0
            assert "another command was at work" in done.err


async def test_show_dumps_bytes_that_are_no_json_and_cuts_long_bodies(site: Site) -> None:
    async with channel_of(site) as channel:
        long = bytes(range(256)) * 100
        deep = b"[" * 1000 + b"]" * 1000  # is parsed, but cannot be written
        tags = [{"name": "n", "value": "\x7f\x9b" + "v" * 5000}]
        odd = message("execution-4", tags=tags)
        for body in (UNDECODABLE, long, deep, odd):
            await put_letters(channel, letter(body, "undecodable"))
        done = await run(site, "show")
        assert_harmless(done.out)
        assert "00000000  ff 00 1b 5b 33 31 6d 20  6e" in done.out.replace("20 6e", "20  6e")
        assert len(done.out) < 40_000
        assert done.out.count("--full shows all") == 1
        full = await run(site, "show", "--full", "--id", short_id(long))
        assert f"{len(long) - 16:08x}" in full.out
        full = await run(site, "show", "--full", "--id", short_id(odd))
        assert_harmless(full.out)
        assert json.loads(body_of(full)) == json.loads(odd)


async def test_a_long_queue_keeps_its_order(site: Site) -> None:
    async with channel_of(site) as channel:
        count = 2500  # returned by more than 32 consumers
        bodies = [message("execution-1", number=number) for number in range(count)]
        await put_letters(channel, *(letter(body, "refused") for body in bodies))
        first = await run(site, "list", "--json")
        second = await run(site, "list", "--json")
        assert [one["id"] for one in first.objects] == [one["id"] for one in second.objects]
        assert {one["id"] for one in first.objects} == {short_id(body) for body in bodies}
        assert len(first.objects) == count


async def test_an_empty_queue_is_no_error(site: Site) -> None:
    async with channel_of(site):
        done = await run(site, "list")
        assert (done.code, done.out) == (0, "no dead letters\n")
        done = await run(site, "replay")
        assert (done.code, done.out) == (0, "0 replayed, 0 left\n")
