"""One gateway, as a command sees it: requests are repeated where its answers invite to that."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from errno import errorcode
from http import HTTPStatus
from typing import Any, Self

import aiohttp

from ingest.remote.retry import TRY_LATER, Patience, retry_after_s
from ingest.runtime.printable import printable, shortened

_CONNECT_TIMEOUT_S = 10.0
_MAX_SHOWN_CHARS = 1000
_MAX_ERROR_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, on whose behalf, and how long a command keeps trying."""

    url: str
    resource_group: str
    token: str = field(repr=False)
    patience_s: float
    timeout_s: float


class RefusedError(Exception):
    """The gateway answered that it will not do it, and would not if it were asked again."""

    def __init__(self, status: int, code: str, message: str, details: list[str]) -> None:
        self.status = status
        self.code = code
        self.details = details
        super().__init__(f"status {status}, {code or 'no code'}: {message}")


class UnavailableError(Exception):
    """There was no answer in time, or none that was of use."""


class StoppedError(Exception):
    """The command was told to stop before there was an answer."""


class GatewayClient:
    """Send requests, again if need be. Use it with `async with`."""

    def __init__(
        self, target: Target, connections: int, stop: asyncio.Event, note: Callable[[str], None]
    ) -> None:
        """Prepare; `note` is told why something is tried again. Once `stop` is set, nothing is."""
        self._target = target
        self._connections = connections
        self._stop = stop
        self._note = note
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"AI-Resource-Group": self._target.resource_group}
        if self._target.token:
            headers["Authorization"] = f"Bearer {self._target.token}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=self._target.timeout_s
            ),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def patch(self, body: bytes) -> None:
        """Send an update; afterwards it is durable.

        Raises:
            RefusedError, UnavailableError, StoppedError.
        """
        headers = {"Content-Type": "application/json"}
        async with self._answer("PATCH", data=body, headers=headers) as answer:
            if answer.status != HTTPStatus.NO_CONTENT:
                raise UnavailableError(f"{self._target.url} answered {answer.status}, not 204")

    @asynccontextmanager
    async def find(self, parameters: Mapping[str, str]) -> AsyncIterator[aiohttp.StreamReader]:
        """Query; yields the answer's body, which may break off with UnavailableError.

        Raises:
            RefusedError, UnavailableError, StoppedError.
        """
        async with self._answer("GET", params=parameters) as answer:
            if answer.status != HTTPStatus.OK or answer.content_type != "application/json":
                raise _no_gateway(answer)
            try:
                yield answer.content
            except (aiohttp.ClientError, TimeoutError) as error:
                raise UnavailableError(f"the answer broke off: {_why(error)}") from error

    @asynccontextmanager
    async def _answer(self, method: str, **arguments: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the first answer that invites no retry: a success."""
        patience = Patience(self._target.patience_s)
        while True:
            answer, problem, wanted_s = await self._attempt(method, arguments)
            if answer is not None:
                async with answer:
                    yield answer
                return
            pause_s = patience.pause_s(wanted_s)
            if self._stop.is_set():
                raise StoppedError
            if pause_s is None:
                asked = f", and asks to wait for {wanted_s:g} s" if wanted_s else ""
                raise UnavailableError(
                    f"{problem}{asked}; gave up after {self._target.patience_s:g} s (--patience)"
                )
            self._note(f"{problem.removesuffix('.')}: trying again")
            await self._pause(pause_s)

    async def _attempt(
        self, method: str, arguments: dict[str, Any]
    ) -> tuple[aiohttp.ClientResponse | None, str, float | None]:
        """Return a success, or why to try again, and after which time if the answer says so."""
        if self._session is None:
            raise RuntimeError("not entered")
        url = self._target.url
        try:
            answer = await self._session.request(method, url, allow_redirects=False, **arguments)
            if answer.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
                return answer, "", None
            async with answer:
                content = await _beginning(answer.content)
        except aiohttp.ClientSSLError as error:  # will not pass
            raise UnavailableError(f"no TLS with {url}: {_why(error)}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            return None, f"no answer from {url}: {_why(error)}", None
        refused = _refusal(answer, content)
        if answer.status in TRY_LATER:
            return None, str(refused), retry_after_s(answer.headers)
        raise refused

    async def _pause(self, pause_s: float) -> None:
        """Wait; raises StoppedError if the command is to stop meanwhile."""
        try:
            async with asyncio.timeout(pause_s):
                await self._stop.wait()
        except TimeoutError:
            return
        raise StoppedError


async def _beginning(stream: aiohttp.StreamReader) -> bytes:
    """Read a body that comes in any number of pieces, but not much more than is of use."""
    content = b""
    while len(content) < _MAX_ERROR_BYTES and (piece := await stream.readany()):
        content += piece
    return content


def _no_gateway(answer: aiohttp.ClientResponse) -> RefusedError:
    text = "that is no answer of a metric gateway; is the URL right?"
    return RefusedError(answer.status, "", text, [])


def _refusal(answer: aiohttp.ClientResponse, content: bytes) -> RefusedError:
    """Make an error of an answer, which need not come from a gateway."""
    try:
        error = json.loads(content)["error"]
        code, message = str(error["code"]), str(error["message"])
        details = [str(detail["message"]) for detail in error["details"]]
    except (ValueError, KeyError, TypeError):
        return _no_gateway(answer)
    return RefusedError(
        answer.status, _shown(code), _shown(message), [_shown(one) for one in details]
    )


def _shown(text: str) -> str:
    return printable(shortened(text, _MAX_SHOWN_CHARS))


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it takes too long"
    number = getattr(error, "errno", None) or 0
    if number in errorcode:  # the library's own words are hard to read
        return os.strerror(number)
    return _shown(str(error) or type(error).__name__)
