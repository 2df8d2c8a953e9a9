"""A load of updates from several connections, every one of them written into a ledger."""

import asyncio
import itertools
import random
from collections.abc import Iterable
from typing import Any

import aiohttp
import orjson

from tests.harness.ledger import Items, Ledger, Outcome

RESOURCE_GROUP = "load"
_HEADERS = {"AI-Resource-Group": RESOURCE_GROUP, "Content-Type": "application/json"}
_REQUEST_TIMEOUT_S = 60
_ACCEPTED = 204
_TRY_LATER = {429, 503}
# One update in so many also carries a tag and a custom info.
_TAGGED = 10


class Load:
    """Send updates to some gateways until told to stop or a number is reached."""

    def __init__(
        self,
        urls: Iterable[str],
        *,
        connections: int = 16,
        executions: int = 20,
        points: int = 3,
        most: int = 10_000_000,
        pace_s: float = 0.0,
        pause_s: float = 0.05,
        token: str = "",
    ) -> None:
        """Prepare a load; connections wait `pace_s` after an answer, `pause_s` after a failure.

        With a `token`, updates carry it.
        """
        self.ledger = Ledger()
        self.sent = 0
        self.slowest_s = 0.0
        # Answers that are neither 204 nor an invitation to send again: there should be none.
        self.surprises: list[str] = []
        self._urls = [url + "/lm/metrics" for url in urls]
        self._headers = _HEADERS | ({"Authorization": f"Bearer {token}"} if token else {})
        self._connections = connections
        self.executions = [f"execution-{number}" for number in range(executions)]
        self._points = points
        self._most = most
        self._pace_s = pace_s
        self._pause_s = pause_s
        self._steps = itertools.count()
        self._random = random.Random(1)  # noqa: S311 - repeatable
        self._stopping = False
        self._running = asyncio.Event()
        self._running.set()

    def pause(self) -> None:
        """Send no further update until `resume`."""
        self._running.clear()

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    def stop(self) -> None:
        """Send no further update; `run` ends when the last is answered."""
        self._stopping = True
        self._running.set()

    async def run(self) -> None:
        """Send until stopped or `most` updates were sent."""
        timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=self._connections)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(self._connections):
                tasks.create_task(self._send_updates(session))

    async def _send_updates(self, session: aiohttp.ClientSession) -> None:
        clock = asyncio.get_running_loop().time
        while not self._stopping and self.sent < self._most:
            if not self._running.is_set():
                await self._running.wait()
                continue
            self.sent += 1
            execution_id = self._random.choice(self.executions)
            items = self._new_items()
            body = orjson.dumps(_update(execution_id, items))
            started = clock()
            outcome = await self._send(session, body)
            self.slowest_s = max(self.slowest_s, clock() - started)
            self.ledger.record(execution_id, items, outcome)
            # Refusals come fast: they must not fill the ledger.
            failed = outcome is not Outcome.ACCEPTED
            await asyncio.sleep(self._pause_s if failed else self._pace_s)

    def _new_items(self) -> Items:
        """Make up what no other update holds."""
        steps = [next(self._steps) for _ in range(self._points)]
        items: Items = {("metrics", "loss", step): self._random.random() for step in steps}
        if steps[0] // self._points % _TAGGED == 0:
            items["tags", f"tag-{steps[0]}", 0] = f"{self._random.random()}"
            items["customInfo", f"info-{steps[0]}", 0] = f"{self._random.random()}"
        return items

    async def _send(self, session: aiohttp.ClientSession, body: bytes) -> Outcome:
        url = self._random.choice(self._urls)
        try:
            async with session.patch(url, data=body, headers=self._headers) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return Outcome.UNANSWERED
        if answer.status == _ACCEPTED:
            return Outcome.ACCEPTED
        if answer.status not in _TRY_LATER or "Retry-After" not in answer.headers:
            self.surprises.append(f"{answer.status} {content[:300]!r}")
        return Outcome.REFUSED


def _update(execution_id: str, items: Items) -> dict[str, Any]:
    update: dict[str, Any] = {"executionId": execution_id}
    for (section, name, step), value in items.items():
        item: dict[str, Any] = {"name": name, "value": value}
        if section == "metrics":
            item |= {"step": step, "timestamp": "2026-01-01T00:00:00Z"}
        update.setdefault(section, []).append(item)
    return update
