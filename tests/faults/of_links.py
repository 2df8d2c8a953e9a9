"""Connections that are cut, go silent without a reset, for a time or for ever, or get slow."""

import asyncio
from collections.abc import Iterator

from tests.faults.stage import Cast, Link, Stage
from tests.faults.trial import Dose, Fault, Inject
from tests.harness.client import Client

_CONFIRM_TIMEOUT_S = 2
# An update that waits for a silent broker is answered within the confirm limit, and with the
# breaker open at once; the rest is for a busy machine.
_SLACK_S = 4


def _cut(link: Link) -> Inject:
    async def inject(stage: Stage, dose: Dose) -> None:
        for _ in range(dose.rounds):
            stage.links[link].cut()
            await stage.sent(dose.updates)

    return inject


def _silence(link: Link) -> Inject:
    async def inject(stage: Stage, dose: Dose) -> None:
        stage.links[link].silence()
        for _ in range(dose.rounds):  # once but long: beyond all the time limits of both ends
            await dose.hold()
        if link is Link.GATEWAY_BROKER:
            await _refused_at_once(stage)
        stage.links[link].restore()

    return inject


async def _refused_at_once(stage: Stage) -> None:
    """Wait for the breaker to open; then an answer must not wait for the broker."""
    stage.load.pause()
    async with Client(stage.gateways[0].url) as client:
        async with asyncio.timeout(2 * _CONFIRM_TIMEOUT_S + _SLACK_S):
            while stage.gateways[0].metric("ingest_broker_connected"):
                await asyncio.sleep(0.05)
        async with asyncio.timeout(_CONFIRM_TIMEOUT_S / 2):
            answer = await client.patch({"executionId": "at-once"})
        assert (answer.status, answer.error["code"]) == (503, "02011031")
    stage.load.resume()


def _strand(link: Link) -> Inject:
    async def inject(stage: Stage, dose: Dose) -> None:
        stage.links[link].strand()
        await stage.sent(dose.updates)

    return inject


def _slow(link: Link) -> Inject:
    async def inject(stage: Stage, dose: Dose) -> None:
        stage.links[link].slow_down()
        await dose.hold()
        stage.links[link].restore()

    return inject


_SETTINGS = {"INGEST_CONFIRM_TIMEOUT_S": f"{_CONFIRM_TIMEOUT_S}"}
_ANSWERS_WITHIN_S = _CONFIRM_TIMEOUT_S + _SLACK_S


# Tried by the tests, too: what has code of its own in the product. The others take long.
_IN_TESTS = {
    *(f"cut: {link.value}" for link in Link),
    f"silent: {Link.GATEWAY_BROKER.value}",
    f"stranded: {Link.GATEWAY_BROKER.value}",
    f"stranded: {Link.WORKER_BROKER.value}",
    f"slow: {Link.WORKER_DATABASE.value}",
}


_FAILS = "is cut, silent, lost without a reset, or slow"
_BROKER_ROW = f"the connection between gateway and broker {_FAILS}"
_OTHER_ROW = f"any other connection to broker or MongoDB {_FAILS}"


def _faults_of(link: Link) -> Iterator[Fault]:
    to_broker = link is Link.GATEWAY_BROKER
    cast = Cast(links=frozenset({link}), settings=_SETTINGS)
    ways = {
        "cut": _cut(link),
        "silent": _silence(link),
        # Nothing is ever heard of these connections again, not even their end.
        "stranded": _strand(link),
        "slow": _slow(link),
    }
    for way, inject in ways.items():
        name = f"{way}: {link.value}"
        yield Fault(
            name,
            _BROKER_ROW if to_broker else _OTHER_ROW,
            inject,
            cast,
            # The database's driver gives a write 30 s before it takes another connection.
            recovers_within_s=20 if to_broker else 60,
            refuses=to_broker,  # what else is away, PATCH does not notice
            answers_within_s=_ANSWERS_WITHIN_S,
            in_tests=name in _IN_TESTS,
        )


FAULTS = tuple(fault for link in Link for fault in _faults_of(link))
