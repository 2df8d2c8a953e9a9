"""Every answer that /openapi.json documents is provoked once, and is as it is documented there.

That no other answer occurs is looked for by all tests: `tests/harness/client.py` holds whatever is
answered to any of them against the document.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import pytest

from deploy.local.ports import LOOPBACK, choose_port
from deploy.local.process import wait_for
from ingest.errors import Error
from tests.api.wire import PATH, Wire
from tests.auth.issuer import Issuer
from tests.harness.client import EXAMPLE, Answer
from tests.harness.documented import Documented, Kind
from tests.harness.services import ROOT, Gateway

pytestmark = pytest.mark.timeout(300)  # five more gateways, and a request for each answer

BODY = json.dumps(EXAMPLE).encode()
EXECUTION = EXAMPLE["executionId"]
ASSET = "/docs/swagger-ui.css"
QUERIES = {
    "GET": f"?executionIds={EXECUTION}",
    "HEAD": f"?executionIds={EXECUTION}",
    "DELETE": f"?executionId={EXECUTION}",
}
# Every path with its template and its methods.
METHODS = ("GET", "HEAD", "OPTIONS")
PATHS = {
    PATH: (PATH, ("PATCH", *METHODS, "DELETE")),
    "/openapi.json": ("/openapi.json", METHODS),
    "/docs": ("/docs", METHODS),
    ASSET: ("/docs/{asset}", METHODS),
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


@pytest.fixture(scope="module")
def gateways(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    with ExitStack() as stack, Issuer() as issuer:

        def started(**settings: str) -> Gateway:
            folder = tmp_path_factory.mktemp("provoked")
            one = Gateway(folder, gateway.environment | settings)
            stack.callback(one.stop)
            one.launch()
            return one

        nobody = f"{LOOPBACK}:{choose_port()}"
        bug = {"PYTHONPATH": f"{ROOT / 'tests' / 'api' / 'bug'}:{ROOT}"}
        every = Gateways(
            well=gateway,
            strict=started(
                INGEST_MAX_BODY_BYTES="10000",
                INGEST_BODY_TIMEOUT_S="0.5",
                INGEST_GROUP_MAX_REQUESTS_PER_S="1",
                INGEST_MAX_CONNECTIONS="2",
            ),
            alone=started(
                AMQP_URL=f"amqp://{nobody}/", MONGODB_URL=f"mongodb://{nobody}/?replicaSet=rs",
                INGEST_CONFIRM_TIMEOUT_S="1",
            ),
            guarded=started(**issuer.settings),
            keyless=started(**issuer.settings | {"INGEST_JWT_JWKS_URL": f"http://{nobody}/"}),
            buggy=started(**bug),
            issuer=issuer,
        )  # fmt: skip
        for one in (every.strict, every.guarded, every.buggy):
            one.await_ready()
        for one in (every.alone, every.keyless):  # never ready, but there
            assert wait_for(partial(accepts, one.port), 20)
        yield every


def accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


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


def served_document(gateway: Gateway) -> Documented:
    answer = Request("GET", "/openapi.json").send(gateway)
    return Documented(json.loads(answer.body))


@pytest.fixture(scope="module")
def kinds(gateways: Gateways) -> set[Kind]:
    """What the document of the gateway that wants tokens lists: it is the longest."""
    return served_document(gateways.guarded).kinds()


@pytest.fixture(scope="module")
def documents(gateways: Gateways) -> dict[int, Documented]:
    """What each of the gateways serves, by its port; the one with a bug cannot serve its own."""
    all_ = (gateways.well, gateways.strict, gateways.alone, gateways.guarded, gateways.keyless)
    documents = {one.port: served_document(one) for one in all_}
    return documents | {gateways.buggy.port: documents[gateways.well.port]}


def errors_of(kinds: set[Kind], template: str, method: str) -> set[Error | None]:
    """Return how requests for an operation may end, by the document.

    Without bodies, as of HEAD, there are no codes: then it is the errors of these statuses that GET
    has.
    """
    by_code = {error.value.code: error for error in Error}
    codes = {code for path, name, _, code in kinds if (path, name) == (template, method)}
    if method == "HEAD":
        codes = {code for path, name, _, code in kinds if (path, name) == (template, "GET")}
    return {by_code.get(code) for code in codes}


async def test_every_documented_answer_occurs_and_is_as_documented(
    gateways: Gateways, kinds: set[Kind], documents: dict[int, Documented]
) -> None:
    def provoke_all() -> set[Kind]:
        seen: set[Kind] = set()
        for path, (template, methods) in PATHS.items():
            for method in methods:
                for error in errors_of(kinds, template, method):
                    gateway, answer = PROVOCATIONS[error](gateways, method, path)
                    where = f"{method} {path} {error}: {answer.status} {answer.body[:300]!r}"
                    expected = 204 if error is None and method in ("PATCH", "OPTIONS") else 200
                    status = expected if error is None else error.value.status
                    assert answer.status == status, where
                    kind = documents[gateway.port].kind(
                        method, path, answer.status, answer.headers, answer.body
                    )
                    code = "" if error is None or method == "HEAD" else error.value.code
                    assert kind == (template, method, status, code), where
                    seen.add(kind)
        for error, method, path in (
            (Error.PATH_UNKNOWN, "GET", "/nowhere"),
            (Error.METHOD_NOT_ALLOWED, "POST", PATH),
        ):
            answer = Request(method, path).send(gateways.well)
            document = documents[gateways.well.port]
            seen.add(document.kind(method, path, answer.status, answer.headers, answer.body))
            assert answer.error["code"] == error.value.code
        return seen

    seen = await asyncio.to_thread(provoke_all)
    assert seen == kinds
    # And of the table of errors, nothing is left out.
    assert {code for _, _, _, code in seen if code} == {error.value.code for error in Error}


async def test_an_answer_that_is_not_as_documented_would_be_found(gateways: Gateways) -> None:
    document = served_document(gateways.well)
    answer = good("GET", PATH, query="?executionIds=not-there").send(gateways.well)
    document.kind("GET", PATH, answer.status, answer.headers, answer.body)
    for method, status, body in (
        ("GET", 418, answer.body),
        ("GET", 404, answer.body.replace(b"02010055", b"99999999")),
        ("GET", 404, answer.body.replace(b"requestId", b"requestid")),
        ("GET", 200, b'{"count": 1}'),
        ("PATCH", 404, answer.body),
        ("HEAD", 404, answer.body),
    ):
        with pytest.raises((AssertionError, ValueError)):
            document.kind(method, PATH, status, answer.headers, body)
