"""A small HTTP client for the gateway that keeps trying where the contract invites it to."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from ingest.openapi.example import RESOURCE_GROUP

_TIMEOUT_S = 30.0
_PATIENCE_S = 120.0
_MAX_PAUSE_S = 5.0
_TRY_LATER = {429, 502, 503, 504}
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
        ends = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._connection.request(method, path, body, _HEADERS)
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                problem, pause_s = str(error) or type(error).__name__, 1.0
            else:
                if answer.status not in _TRY_LATER:
                    return answer.status, json.loads(content) if content else None
                problem, pause_s = f"status {answer.status}", _retry_after_s(answer)
            if time.monotonic() + pause_s > ends:
                raise ClientError(f"{method} failed for {_PATIENCE_S:.0f} s: {problem}")
            time.sleep(pause_s)


def _retry_after_s(answer: http.client.HTTPResponse) -> float:
    try:
        wanted = float(answer.headers.get("Retry-After", "1"))
    except ValueError:
        return 1.0
    return min(max(wanted, 0.0), _MAX_PAUSE_S)
