"""Connections that are cut, go silent without a reset, for a time or for ever, or get slow."""

import asyncio

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


def _faults_of(link: Link) -> tuple[Fault, ...]:
    cast = Cast(links=frozenset({link}), settings=_SETTINGS)
    refuses = link is Link.GATEWAY_BROKER  # what else may be away, PATCH does not notice
    silence_recovers_s = 60 if link is Link.WORKER_DATABASE else 30
    return (
        Fault(f"cut: {link.value}", _cut(link), cast, refuses=refuses),
        Fault(
            f"silent: {link.value}",
            _silence(link),
            cast,
            recovers_within_s=silence_recovers_s,
            refuses=refuses,
            answers_within_s=_ANSWERS_WITHIN_S,
        ),
        # Nothing is ever heard of these connections again, not even their end.
        Fault(
            f"stranded: {link.value}",
            _strand(link),
            cast,
            recovers_within_s=silence_recovers_s,
            refuses=refuses,
            answers_within_s=_ANSWERS_WITHIN_S,
        ),
        Fault(f"slow: {link.value}", _slow(link), cast, refuses=refuses),
    )


FAULTS = tuple(fault for link in Link for fault in _faults_of(link))
