"""A trial: a fault under load, and whether the promise and the service survive it.

Conservation: what was answered 204 is stored, once, and nothing else but what was sent.
Liveness: within a stated time after the fault new updates are accepted and stored again, without
anybody's help.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import aiohttp

from tests.faults.stage import Cast, Servers, Stage, staged
from tests.harness.ledger import Outcome, Verdict
from tests.harness.load import Load
from tests.harness.services import Gateway
from tests.harness.settled import load_settled

_PAUSE_S = 0.1
_PROBE_TIMEOUT_S = 15
_ACCEPTED = 204
_OK = 200


@dataclass(frozen=True, slots=True)
class Dose:
    """How much of a fault: how often, how long each time, how many updates in between, how fast.

    `pace_s` is the pause of each connection between two updates.
    """

    rounds: int
    hold_s: float
    updates: int
    pace_s: float

    async def hold(self) -> None:
        """Let the fault last."""
        await asyncio.sleep(self.hold_s)


SHORT = Dose(rounds=2, hold_s=1.5, updates=500, pace_s=0.01)
# Not as fast as can be: on a small machine the load itself would keep the workers from catching up.
FULL = Dose(rounds=3, hold_s=15, updates=3000, pace_s=0.005)

Inject = Callable[[Stage, Dose], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks while updates arrive, and what must hold then.

    `row` is the first cell of the row in the README's failure table that tells of it.

    `inject` breaks it and ends it; it may leave the load paused. Afterwards the service must
    recover within `recovers_within_s` by itself. `refuses` says whether updates may be answered
    otherwise than 204 meanwhile, and `answers_within_s` how long any answer may take.
    """

    name: str
    row: str
    inject: Inject
    cast: Cast = field(default_factory=Cast)
    recovers_within_s: float = 20
    refuses: bool = True
    answers_within_s: float = 15
    in_tests: bool = True


@dataclass(slots=True)
class Result:
    """How a trial went. It passed if there are no problems."""

    requests: int = 0
    accepted: int = 0
    recovered_s: float | None = None
    slowest_s: float = 0
    lost: int | None = None
    doubled: int | None = None
    problems: list[str] = field(default_factory=list)


async def run_trial(
    fault: Fault, dose: Dose, servers: Servers, folder: Path, watch: Callable[[Load], None]
) -> Result:
    """Try a fault; `watch` gets the load when it begins. Failures are in the result."""
    result = Result()
    async with staged(fault.cast, servers, folder, dose.pace_s) as stage:
        load = stage.load
        watch(load)
        async with under(load):
            await stage.sent(dose.updates)
            await fault.inject(stage, dose)
            try:
                result.recovered_s = await recovered(stage, fault.recovers_within_s)
            except TimeoutError:
                problem = f"did not recover within {fault.recovers_within_s:g} s"
                result.problems.append(problem)
            load.resume()
            await stage.sent(dose.updates)
        verdict = await settled(load, stage)
    result.requests = load.sent
    result.accepted = load.ledger.count(Outcome.ACCEPTED)
    result.slowest_s = load.slowest_s
    result.lost, result.doubled = len(verdict.lost), len(verdict.doubled)
    if not verdict:
        result.problems.append(str(verdict))
    result.problems += load.surprises[:3]
    if not fault.refuses and result.accepted < result.requests:
        result.problems.append(f"{result.requests - result.accepted} updates were not accepted")
    if load.slowest_s > fault.answers_within_s:
        result.problems.append(f"an answer took {load.slowest_s:.1f} s")
    return result


@asynccontextmanager
async def under(load: Load) -> AsyncIterator[None]:
    """Run a load around the block."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        try:
            yield
        finally:
            load.stop()


async def recovered(stage: Stage, within_s: float) -> float:
    """Wait until every gateway accepts an update and shows it; returns the seconds it took.

    Raises:
        TimeoutError: it takes longer than `within_s`.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    async with asyncio.timeout(within_s):
        await asyncio.gather(*(_stores(gateway) for gateway in stage.gateways))
    return clock() - started


async def _stores(gateway: Gateway) -> None:
    url = gateway.url + "/lm/metrics"
    timeout = aiohttp.ClientTimeout(total=_PROBE_TIMEOUT_S)
    headers = {"AI-Resource-Group": "probe"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        execution_id = f"{uuid4()}"
        while not await _is_answered(
            session, _ACCEPTED, "PATCH", url, json={"executionId": execution_id}
        ):
            await asyncio.sleep(_PAUSE_S)
        parameters = {"executionIds": execution_id}
        while not await _is_answered(session, _OK, "GET", url, params=parameters):
            await asyncio.sleep(_PAUSE_S)


async def _is_answered(
    session: aiohttp.ClientSession, status: int, method: str, url: str, **arguments: object
) -> bool:
    try:
        async with session.request(method, url, **arguments) as answer:  # type: ignore[arg-type]
            return answer.status == status
    except (aiohttp.ClientError, TimeoutError):
        return False


async def settled(load: Load, stage: Stage) -> Verdict:
    """Wait until all that was accepted is stored, at most for the deadline; returns the verdict."""
    return await load_settled(load, stage.site, stage.gateways)
