"""A load of updates from several connections, every one of them written into a ledger."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterable
from typing import Any

import aiohttp

from tests.harness.ledger import Ledger, Outcome, Points

_HEADERS = {"AI-Resource-Group": "load", "Content-Type": "application/json"}
_REQUEST_TIMEOUT_S = 30
_ACCEPTED = 204
_OK = 200
_IDS_PER_QUERY = 10


class Load:
    """Send updates to some gateways until told to stop or a number is reached."""

    def __init__(
        self,
        urls: Iterable[str],
        *,
        connections: int = 16,
        executions: int = 20,
        points: int = 3,
        most: int = 1_000_000,
        pause_s: float = 0.05,
    ) -> None:
        """Prepare a load; `pause_s` is how long a connection waits after a request failed."""
        self.ledger = Ledger()
        self.sent = 0
        self._urls = [url + "/lm/metrics" for url in urls]
        self._connections = connections
        self._executions = [f"execution-{number}" for number in range(executions)]
        self._points = points
        self._most = most
        self._pause_s = pause_s
        self._steps = itertools.count()
        self._random = random.Random(1)  # noqa: S311 - repeatable
        self._stopping = False

    def stop(self) -> None:
        """Send no further update; `run` ends when the last is answered."""
        self._stopping = True

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
        while not self._stopping and self.sent < self._most:
            self.sent += 1
            execution_id = self._random.choice(self._executions)
            points: Points = {
                ("loss", next(self._steps)): self._random.random() for _ in range(self._points)
            }
            outcome = await self._send(session, execution_id, points)
            self.ledger.record(execution_id, points, outcome)
            if outcome is not Outcome.ACCEPTED:
                await asyncio.sleep(self._pause_s)  # don't fill the ledger with refusals

    async def _send(
        self, session: aiohttp.ClientSession, execution_id: str, points: Points
    ) -> Outcome:
        body = {
            "executionId": execution_id,
            "metrics": [
                {"name": name, "step": step, "value": value, "timestamp": "2026-01-01T00:00:00Z"}
                for (name, step), value in points.items()
            ],
        }
        url = self._random.choice(self._urls)
        try:
            async with session.patch(url, data=json.dumps(body), headers=_HEADERS) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return Outcome.UNANSWERED
        return Outcome.ACCEPTED if answer.status == _ACCEPTED else Outcome.REFUSED

    async def stored(self, url: str) -> dict[str, list[dict[str, Any]]]:
        """Return the stored metrics of all executions, by GET."""
        found: dict[str, list[dict[str, Any]]] = {}
        async with aiohttp.ClientSession() as session:
            for start in range(0, len(self._executions), _IDS_PER_QUERY):
                ids = self._executions[start : start + _IDS_PER_QUERY]
                parameters = {"executionIds": ",".join(ids), "$select": "metrics"}
                async with session.get(
                    url + "/lm/metrics", params=parameters, headers=_HEADERS
                ) as answer:
                    if answer.status == _OK:
                        for resource in (await answer.json())["resources"]:
                            found[resource["executionId"]] = resource["metrics"]
        return found
