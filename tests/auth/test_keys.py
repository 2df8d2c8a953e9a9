"""Keys that come, go and cannot be fetched, at a gateway."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.error import HTTPError
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.local.ports import LOOPBACK
from deploy.local.process import wait_for
from tests.auth.callers import KEYS_AWAY, UNAUTHENTICATED, Caller, refusal
from tests.auth.issuer import Issuer, ec_key, rsa_key, signed, usual_claims
from tests.harness.services import READY_DEADLINE_S, Gateway

DEADLINE_S = 30.0
KEY_ID = "the token's kid is missing, or not among the issuer's keys"


@pytest.fixture
def own_issuer() -> Iterator[Issuer]:
    """An issuer of this test's own, which may misbehave."""
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def quick(gateway: Gateway, own_issuer: Issuer, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway, not yet started, that fetches the keys every second."""
    settings = own_issuer.settings | {"INGEST_JWT_REFRESH_S": "1"}
    quick = Gateway(tmp_path, gateway.environment | settings)
    yield quick
    quick.stop()


def await_fetches(gateway: Gateway, outcome: str, count: int = 1) -> None:
    """Wait for this many more fetches to end so."""

    def ended() -> float:
        return gateway.metric("ingest_jwks_fetches_total", outcome=outcome)

    before = ended()
    assert wait_for(lambda: ended() >= before + count, DEADLINE_S), f"no fetch is {outcome}"


def not_ready_for(gateway: Gateway) -> list[str]:
    """Return what /readyz finds missing."""
    try:
        gateway.operations("/readyz")
    except HTTPError as error:
        with error:
            missing: list[str] = json.loads(error.read())["missing"]
            return missing
    return []


async def test_a_new_key_is_found_and_a_withdrawn_one_refused_with_its_verified_tokens(
    quick: Gateway, own_issuer: Issuer
) -> None:
    quick.start()
    old = own_issuer.token("rsa")
    other = own_issuer.token("ec")
    async with Caller(quick.url) as caller:
        assert await caller.is_let_in(old)
        own_issuer.keys["new"] = rsa_key()
        new = own_issuer.token("new")
        # At the latest when the spacing of fetches is over, here a second.
        deadline = time.monotonic() + DEADLINE_S
        while (answer := await caller.read(new)).status != 404:
            assert refusal(answer, new)[0] == KEYS_AWAY  # not 401: it may well be a key
            assert time.monotonic() < deadline
        assert await caller.is_let_in(old)
        assert await caller.is_let_in(other)

        del own_issuer.keys["rsa"]
        own_issuer.keys["ec"] = ec_key()  # another key of the same name
        await_fetches(quick, "ok", 2)
        deadline = time.monotonic() + DEADLINE_S
        while (answer := await caller.read(old)).status == 503:
            assert time.monotonic() < deadline
        assert refusal(answer, old) == (UNAUTHENTICATED, KEY_ID)
        sentence = "the token's signature does not match its key"
        assert refusal(await caller.read(other), other) == (UNAUTHENTICATED, sentence)
        assert await caller.is_let_in(new)
        assert quick.metric("ingest_jwks_keys") == 2


async def test_unknown_key_ids_cause_few_fetches_however_many_come(
    caller: Caller, issuer: Issuer, guarded: Gateway
) -> None:
    good = issuer.token()
    key = ec_key()
    fetches, began = issuer.fetches, time.monotonic()
    for _ in range(200):
        token = signed(key, usual_claims(), kid=uuid4().hex)
        assert refusal(await caller.read(token), token)[0] in (UNAUTHENTICATED, KEYS_AWAY)
        assert await caller.is_let_in(good)
    spacings = (time.monotonic() - began) / 10
    assert issuer.fetches - fetches <= 1 + spacings
    assert guarded.is_ready()


async def test_a_gateway_without_keys_is_not_ready_says_503_and_recovers(
    quick: Gateway, own_issuer: Issuer
) -> None:
    own_issuer.close()
    token = own_issuer.token()
    quick.launch()
    started = wait_for(lambda: _missing(quick) == ["keys"], READY_DEADLINE_S)
    assert started, quick.process.log_tail()
    async with Caller(quick.url) as caller:
        answer = await caller.read(token)
        assert refusal(answer, token) == (KEYS_AWAY, "the keys have not been fetched yet")
        assert int(answer.headers["Retry-After"]) >= 1
        assert "WWW-Authenticate" not in answer.headers
        assert (await caller.send("GET")).status == 401
        own_issuer.open()
        quick.await_ready()
        assert await caller.is_let_in(token)


def _missing(gateway: Gateway) -> list[str] | None:
    with suppress(OSError):  # it does not listen yet
        return not_ready_for(gateway)
    return None


async def test_the_last_keys_go_on_counting_while_the_url_is_away_or_answers_nonsense(
    quick: Gateway, own_issuer: Issuer
) -> None:
    quick.start()
    key = rsa_key()
    stranger = signed(key, usual_claims(), kid="not-known-yet")
    async with Caller(quick.url) as caller:

        async def goes_on(fault: str) -> None:
            await_fetches(quick, "failed")
            # A token that was verified before, and one that was not.
            assert await caller.is_let_in(good), fault
            assert await caller.is_let_in(own_issuer.token("ec", jti=fault)), fault
            # It may be signed with a key that is new.
            answer = await caller.read(stranger)
            assert refusal(answer, stranger)[0] == KEYS_AWAY, fault
            assert int(answer.headers["Retry-After"]) >= 1
            assert quick.is_ready()

        good = own_issuer.token()
        assert await caller.is_let_in(good)
        own_issuer.close()
        await goes_on("away")
        own_issuer.open()
        own_issuer.status = 500
        await goes_on("500")
        own_issuer.status, own_issuer.body = 200, b"<html>sign in</html>"
        await goes_on("no JSON")
        own_issuer.body = b'{"keys": []}'
        await goes_on("no keys")

        own_issuer.keys["not-known-yet"] = key
        own_issuer.behave()
        await_fetches(quick, "ok")
        assert await caller.is_let_in(stranger)


async def test_a_password_in_the_url_is_used_but_never_logged(
    gateway: Gateway, own_issuer: Issuer, tmp_path: Path
) -> None:
    password = uuid4().hex
    own_issuer.password = password
    url = own_issuer.url.replace("http://", f"http://user:{password}@")
    settings = own_issuer.settings | {"INGEST_JWT_JWKS_URL": url, "INGEST_JWT_REFRESH_S": "1"}
    other = Gateway(tmp_path, gateway.environment | {"LOG_LEVEL": "debug"} | settings)
    try:
        other.start()
        for status in (401, 302):
            own_issuer.status = status
            await_fetches(other, "failed")
        own_issuer.close()
        await_fetches(other, "failed")
    finally:
        other.stop()
    assert password not in other.process.log.read_text()


def certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 that signs itself, and its key, into one file."""
    key = ec_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer of a test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), False)  # noqa: FBT003
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(built.public_bytes(Encoding.PEM) + private)
    return file


async def test_keys_come_over_tls_only_from_a_server_with_a_trusted_certificate(
    gateway: Gateway, tmp_path: Path
) -> None:
    file = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    issuer = Issuer()
    issuer.tls = tls
    trusting, other = (
        Gateway(tmp_path, gateway.environment | issuer.settings | settings)
        for settings in ({"SSL_CERT_FILE": str(file)}, {})
    )
    with issuer:
        try:
            other.launch()
            trusting.start()
            async with Caller(trusting.url) as caller:
                assert await caller.is_let_in(issuer.token())
            assert wait_for(lambda: _missing(other) == ["keys"], READY_DEADLINE_S)
            await_fetches(other, "failed")
            assert any("certificate" in str(line.get("reason")).lower() for line in other.logs())
        finally:
            other.stop()
            trusting.stop()
