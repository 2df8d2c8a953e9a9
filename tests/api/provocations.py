"""How every answer that a gateway can give is provoked, by the error it is, or None for success."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from ingest.errors import Error
from tests.api.wire import PATH, Wire
from tests.auth.issuer import Issuer
from tests.harness.client import EXAMPLE, Answer
from tests.harness.services import Gateway

BODY = json.dumps(EXAMPLE).encode()
EXECUTION = EXAMPLE["executionId"]
ASSET = "/docs/swagger-ui.css"
QUERIES = {
    "GET": f"?executionIds={EXECUTION}",
    "HEAD": f"?executionIds={EXECUTION}",
    "DELETE": f"?executionId={EXECUTION}",
}


@dataclass(frozen=True, slots=True)
class Gateways:
    """One for each kind of trouble."""

    well: Gateway
    strict: Gateway  # with limits that are soon reached
    alone: Gateway  # without broker and database
    guarded: Gateway  # that wants a token
    keyless: Gateway  # that wants one and has no keys to check it with
    buggy: Gateway
    issuer: Issuer


@dataclass(frozen=True, slots=True)
class Request:
    """A request that would succeed, to be made wrong."""

    method: str
    path: str
    query: str = ""
    group: str = "provoked"
    headers: str = ""
    body: bytes = b""
    length: int | None = None

    def encode(self) -> bytes:
        usual = QUERIES.get(self.method, "") if self.path == PATH else ""
        target = self.path + (self.query or usual)
        group = f"AI-Resource-Group: {self.group}\r\n" if self.group else ""
        headers = self.headers
        if self.method == "PATCH":
            headers += "" if "Content-Type" in headers else "Content-Type: application/json\r\n"
            length = len(self.body) if self.length is None else self.length
            headers += f"Content-Length: {length}\r\n"
        head = f"{self.method} {target} HTTP/1.1\r\nHost: localhost\r\n{group}{headers}\r\n"
        return head.encode() + self.body

    def send(self, gateway: Gateway) -> Answer:
        with Wire(gateway.port) as wire:
            wire.send(self.encode())
            return answer_of(wire, self.method)


def answer_of(wire: Wire, method: str) -> Answer:
    answer = wire.answer(bodiless=method == "HEAD")
    assert answer is not None
    return answer


def good(method: str, path: str, **changes: object) -> Request:
    body = {"body": BODY} if method == "PATCH" else {}
    return Request(method, path, **body | changes)  # type: ignore[arg-type]


Provoke = Callable[[Gateways, str, str], tuple[Gateway, Answer]]


def success(gateways: Gateways, method: str, path: str) -> tuple[Gateway, Answer]:
    if path == PATH and method != "OPTIONS":
        good("PATCH", path).send(gateways.well)
    return gateways.well, good(method, path).send(gateways.well)


def changed(where: str, **changes: object) -> Provoke:
    """Provoke by a change to a request, of a gateway by its name."""

    def provoke(gateways: Gateways, method: str, path: str) -> tuple[Gateway, Answer]:
        gateway: Gateway = getattr(gateways, where)
        return gateway, good(method, path, **changes).send(gateway)

    return provoke


def limited(gateways: Gateways, method: str, path: str) -> tuple[Gateway, Answer]:
    # One after the other on one connection: more than one of them within a second.
    request = good(method, path, group=f"limited-{uuid4().hex}").encode()
    with Wire(gateways.strict.port) as wire:
        wire.send(request * 5)
        answers = [answer_of(wire, method) for _ in range(5)]
    return gateways.strict, next(one for one in answers if one.status == 429)


def overloaded(gateways: Gateways, method: str, path: str) -> tuple[Gateway, Answer]:
    with Wire(gateways.strict.port) as first, Wire(gateways.strict.port) as second:
        for held in (first, second):  # answered: so both are counted
            held.send(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer_of(held, "OPTIONS")
        with Wire(gateways.strict.port) as wire:
            wire.send(good(method, path).encode())
            answer = wire.answer()
            assert answer is not None
            # It is refused before anything is read: a client of a HEAD takes it as without a body.
            return gateways.strict, bodiless(answer) if method == "HEAD" else answer


def bodiless(answer: Answer) -> Answer:
    return Answer(answer.status, answer.headers, b"")


def forbidden(gateways: Gateways, method: str, path: str) -> tuple[Gateway, Answer]:
    token = f"Authorization: Bearer {gateways.issuer.token(scope='other')}\r\n"
    return gateways.guarded, good(method, path, headers=token).send(gateways.guarded)


def keys_away(gateways: Gateways, method: str, path: str) -> tuple[Gateway, Answer]:
    token = f"Authorization: Bearer {gateways.issuer.token()}\r\n"
    return gateways.keyless, good(method, path, headers=token).send(gateways.keyless)


PROVOCATIONS: dict[Error | None, Provoke] = {
    None: success,
    Error.BODY_MALFORMED: changed("well", body=b"{"),
    Error.BODY_INVALID: changed("well", body=b"{}"),
    Error.QUERY_INVALID: changed("well", query="?executionId=x&executionIds=x"),
    Error.HEADER_INVALID: changed("well", group=""),
    Error.ENCODING_INVALID: changed("well", headers="Content-Encoding: gzip\r\n"),
    Error.HTTP_INVALID: changed("well", headers="no header\r\n"),
    Error.UNAUTHENTICATED: changed("guarded"),
    Error.FORBIDDEN: forbidden,
    Error.PATH_UNKNOWN: lambda gateways, method, path: (
        gateways.well,
        good(method, f"{path}-not").send(gateways.well),
    ),
    Error.NOT_FOUND: changed("well", query="?executionId=not-there&executionIds=not-there"),
    Error.METHOD_NOT_ALLOWED: changed("well"),
    Error.BODY_TIMEOUT: changed("strict", length=len(BODY) + 1, group="slow-one"),
    Error.PAYLOAD_LIMIT: changed("strict", body=b" " * 10_001, group="large-one"),
    Error.MEDIA_TYPE: changed("well", headers="Content-Type: text/plain\r\n"),
    Error.EXPECTATION: changed("well", headers="Expect: nothing\r\n"),
    Error.GROUP_LIMITED: limited,
    Error.INTERNAL: changed("buggy"),
    Error.BROKER_AWAY: changed("alone"),
    Error.OVERLOADED: overloaded,
    Error.DATABASE_AWAY: changed("alone"),
    Error.KEYS_AWAY: keys_away,
}
