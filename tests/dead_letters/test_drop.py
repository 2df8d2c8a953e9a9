"""`drop`: never by accident."""

import pytest

from ingest.contract.topology import DEAD_LETTER_QUEUE
from tests.dead_letters.command import letter, message, put_letters, run, run_on_terminal
from tests.harness.services import Site
from tests.queue.broker_client import channel_of, length

LETTERS = [letter(message(f"execution-{n}", number=n), "refused") for n in range(3)]
OTHER = letter(b"no json", "undecodable")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--yes"], "a filter or --all"),
        (["--yes", "--limit", "1"], "a filter or --all"),
        (["--all", "--reason", "refused", "--yes"], "a filter or --all"),
        (["--all"], "no terminal to ask on"),
        (["--reason", "refused"], "no terminal to ask on"),
    ],
)
async def test_without_saying_what_or_being_sure_nothing_is_dropped(
    site: Site, arguments: list[str], why: str
) -> None:
    done = await run(site, "drop", *arguments)
    assert done.code == 2
    assert why in done.err


async def test_what_matches_is_dropped_and_nothing_else(site: Site) -> None:
    async with channel_of(site) as channel:
        await put_letters(channel, *LETTERS, OTHER)
        done = await run(site, "drop", "--reason", "refused", "--limit", "2", "--yes")
        assert (done.code, done.out) == (0, "2 dropped, 2 left\n")
        done = await run(site, "drop", "--execution", "execution-2", "--yes")
        assert (done.code, done.out) == (0, "1 dropped, 1 left\n")
        (left,) = (await run(site, "list", "--json")).objects
        assert left["reason"] == "undecodable"
        done = await run(site, "drop", "--all", "--yes")
        assert (done.code, done.out) == (0, "1 dropped, 0 left\n")
        assert await length(channel, DEAD_LETTER_QUEUE) == 0


async def test_on_a_terminal_no_more_than_the_limit_are_asked_about_and_dropped(
    site: Site,
) -> None:
    async with channel_of(site) as channel:
        await put_letters(channel, *LETTERS)
        arguments = ("drop", "--reason", "refused", "--limit", "1")
        done = await run_on_terminal(site, *arguments, asked="[y/N]", answer=b"y\n")
        assert "Drop 1 dead letter for good?" in done.out
        assert "1 dropped, 2 left" in done.out
        assert await length(channel, DEAD_LETTER_QUEUE) == 2


@pytest.mark.parametrize(
    ("answer", "code", "left"),
    [(b"y\n", 0, 1), (b"\n", 0, 4), (b"nonsense\n", 0, 4), (b"\x03", 130, 4)],
)
async def test_on_a_terminal_it_asks_and_only_yes_drops(
    site: Site, answer: bytes, code: int, left: int
) -> None:
    async with channel_of(site) as channel:
        await put_letters(channel, *LETTERS, OTHER)
        arguments = ("drop", "--reason", "refused")
        done = await run_on_terminal(site, *arguments, asked="[y/N]", answer=answer)
        assert "Drop 3 dead letters for good?" in done.out
        assert done.code == code
        assert await length(channel, DEAD_LETTER_QUEUE) == left
