"""Every answer that /openapi.json documents is provoked once, and is as it is documented there.

That no other answer occurs is looked for by all tests: `tests/harness/client.py` holds whatever is
answered to any of them against the document.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from deploy.local.ports import LOOPBACK, choose_port
from deploy.local.process import wait_for
from ingest.errors import Error
from tests.api.provocations import ASSET, PROVOCATIONS, Gateways, Request, good
from tests.api.wire import PATH
from tests.auth.issuer import Issuer
from tests.harness.documented import Documented, Kind
from tests.harness.services import ROOT, Gateway

pytestmark = pytest.mark.timeout(300)  # five more gateways, and a request for each answer

# Every path with its template and its methods.
METHODS = ("GET", "HEAD", "OPTIONS")
PATHS = {
    PATH: (PATH, ("PATCH", *METHODS, "DELETE")),
    "/openapi.json": ("/openapi.json", METHODS),
    "/docs": ("/docs", METHODS),
    ASSET: ("/docs/{asset}", METHODS),
}


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
