"""Every way a request can fail, and what the client is told: one table, one shape.

The client libraries read `code` and `message` of the shape below and raise KeyError without
them. Two codes are published by SAP (marked); the others are this project's own, one per cause.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

import orjson

TARGET = "/metrics"
_INVITE_TO_RETRY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
# Seconds, where the cause knows no better.
_RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """An error's place in the table."""

    status: int
    code: str
    message: str


class Error(Enum):
    """Cause to status, code and message. The README lists this table; a test compares them."""

    BODY_MALFORMED = Failure(400, "02011001", "The body is not valid JSON.")
    BODY_INVALID = Failure(400, "02011002", "The specification of the resource was incorrect.")
    QUERY_INVALID = Failure(400, "02011003", "The query parameters are incorrect.")
    HEADER_INVALID = Failure(400, "02011004", "A request header is missing or incorrect.")
    ENCODING_INVALID = Failure(400, "02011005", "The body does not match its Content-Encoding.")
    HTTP_INVALID = Failure(400, "02011006", "The request is not valid HTTP.")
    UNAUTHENTICATED = Failure(401, "02011041", "A valid bearer token is required.")
    FORBIDDEN = Failure(403, "02011042", "The bearer token does not permit this.")
    PATH_UNKNOWN = Failure(404, "02011011", "There is nothing at this path.")
    NOT_FOUND = Failure(404, "02010055", "Metrics was not found.")  # published
    METHOD_NOT_ALLOWED = Failure(405, "02011012", "This path does not have that method.")
    BODY_TIMEOUT = Failure(408, "02011013", "The body was not sent in time.")
    PAYLOAD_LIMIT = Failure(413, "02000005", "PayloadLimitException")  # published
    MEDIA_TYPE = Failure(415, "02011014", "The media type or encoding is not supported.")
    EXPECTATION = Failure(417, "02011015", "Only Expect: 100-continue is supported.")
    GROUP_LIMITED = Failure(429, "02011051", "The resource group has used up its share.")
    INTERNAL = Failure(500, "02011021", "An internal error occurred.")
    BROKER_AWAY = Failure(503, "02011031", "The update could not be made durable now.")
    OVERLOADED = Failure(503, "02011032", "The gateway has as much to do as it may take on.")
    DATABASE_AWAY = Failure(503, "02011033", "The stored metrics cannot be reached now.")
    KEYS_AWAY = Failure(503, "02011034", "Bearer tokens cannot be checked now.")


class RequestError(Exception):
    """A request that fails with an answer. Raise it anywhere below the dispatcher.

    `details` are sentences, one per violation. Those of 4xx may show the client what it sent, so
    they are not logged; `logged` is, which must hold nothing of that. 429 and 503 always say when
    to send the request again, as nothing was promised: after `retry_after_s`, or a second.
    """

    def __init__(
        self,
        error: Error,
        details: Iterable[str] = (),
        *,
        logged: Iterable[str] = (),
        retry_after_s: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.failure = error.value
        self.details = list(details)
        of_ours = self.failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        self.logged = self.details if of_ours else list(logged)
        self.headers = dict(headers or {})
        if retry_after_s is None and self.failure.status in _INVITE_TO_RETRY:
            retry_after_s = _RETRY_AFTER_S
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)
        super().__init__(f"{self.failure.code} {self.failure.message} {self.logged[:3]}")

    def forget_frames(self) -> None:
        """Drop the tracebacks, once the answer is all that matters.

        Their frames hold the request's body and all that was made of it, in a cycle with this
        error: many megabytes, until the garbage collector happens to run.
        """
        self.__traceback__ = self.__cause__ = self.__context__ = None

    def body(self, request_id: str) -> bytes:
        """Return the answer's JSON body."""
        failure = self.failure
        return orjson.dumps(
            {
                "error": {
                    "code": failure.code,
                    "message": failure.message,
                    "requestId": request_id,
                    "target": TARGET,
                    "details": [
                        {"code": failure.code, "message": detail}
                        for detail in self.details or [failure.message]
                    ],
                }
            }
        )
