"""A small HTTP client for the gateway that keeps trying where the contract invites it to."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from multidict import CIMultiDict

from ingest.openapi.example import RESOURCE_GROUP
from ingest.remote.retry import TRY_LATER, Patience, retry_after_s

_TIMEOUT_S = 30.0
_PATIENCE_S = 120.0
_HEADERS = {"AI-Resource-Group": RESOURCE_GROUP, "Content-Type": "application/json"}


class ClientError(Exception):
    """The gateway can't be reached or refused a request; the message is one line."""


class Client:
    """One kept-alive connection to a gateway; for one thread at a time."""

    def __init__(self, url: str) -> None:
        """Prepare a connection. Raises ClientError if the URL is not one of HTTP."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(f"INGEST_URL must look like http://host:port, not {url!r}")
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
        self._url = url

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def require_answer(self) -> None:
        """Connect. Raises ClientError if nobody answers."""
        try:
            self._connection.connect()
        except OSError as error:
            raise ClientError(
                f"no gateway answers on {self._url} ({error}): "
                "start one with make run, or set INGEST_URL"
            ) from error

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Return status and parsed body of the answer; a refusal to wait out is waited out.

        A broken connection is tried again too: every operation of the API may be repeated.
        Raises ClientError when patience is at its end.
        """
        patience = Patience(_PATIENCE_S)
        while True:
            wanted_s = None
            try:
                self._connection.request(method, path, body, _HEADERS)
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                problem = str(error) or type(error).__name__
            else:
                if answer.status not in TRY_LATER:
                    return answer.status, self._parsed(answer.status, content)
                headers = CIMultiDict(answer.headers.items())
                problem, wanted_s = f"status {answer.status}", retry_after_s(headers)
            pause_s = patience.pause_s(wanted_s)
            if pause_s is None:
                asked = f", which asks to wait for {wanted_s:g} s" if wanted_s else ""
                raise ClientError(f"{method} failed: {problem}{asked}; gave up")
            time.sleep(pause_s)

    def _parsed(self, status: int, content: bytes) -> Any:
        """Return an answer's JSON, None if it has no body."""
        try:
            return json.loads(content) if content else None
        except ValueError as error:
            raise ClientError(
                f"{self._url} answers (status {status}) but is no metric gateway: "
                "start one with make run, or set INGEST_URL"
            ) from error
