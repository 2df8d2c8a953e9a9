"""The ring of keys in this process: what is fetched, when, and what of it is used."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from ingest import jwks
from ingest.jwks import JwksError, Key, KeyRing, KeysAwayError, UnknownKeyError, parse_keys
from tests.auth.issuer import Issuer, PrivateKey, ec_key, public_jwk, rsa_key

DEADLINE_S = 30.0
QUICK_S = 0.05
RSA, EC = rsa_key(), ec_key()
MISSING = object()
PADDED = b"the keys, and much beside them"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


def parsed(*entries: Any) -> dict[str | None, Key]:
    return parse_keys(json.dumps({"keys": entries}).encode())


async def fetched(issuer: Issuer, count: int) -> None:
    """Wait until the issuer was asked this often."""
    async with asyncio.timeout(DEADLINE_S):
        while issuer.fetches < count:
            await asyncio.sleep(0.01)


async def filled(ring: KeyRing) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not ring.keys:
            await asyncio.sleep(0.01)


async def test_requests_for_unknown_keys_share_one_fetch_and_its_result(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(issuer.url, 300)
    async with ring.running():
        await filled(ring)
        assert issuer.fetches == 1
        with pytest.raises(KeysAwayError) as soon:  # the last fetch was just now
            await ring.find("new")
        assert 1 <= soon.value.retry_after_s <= jwks.SPACING_S
        # As if the spacing were over.
        monkeypatch.setattr(ring, "_spaced_at", 0.0)
        issuer.keys["new"] = EC
        names = ["new"] * 50 + [f"none-{number}" for number in range(50)]
        found = await asyncio.gather(*map(ring.find, names), return_exceptions=True)
        assert issuer.fetches == 2
        assert [type(one) for one in found] == [Key] * 50 + [UnknownKeyError] * 50
        # Now it is known of these that there is no such key, and of others it is not.
        with pytest.raises(UnknownKeyError):
            await ring.find("none-7")
        with pytest.raises(KeysAwayError):
            await ring.find("other")
        assert issuer.fetches == 2


async def test_a_request_that_is_given_up_does_not_break_off_the_fetch(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(issuer.url, 300)
    async with ring.running():
        await filled(ring)
        monkeypatch.setattr(ring, "_spaced_at", 0.0)
        issuer.keys["new"] = EC
        given_up, waiting = (asyncio.create_task(ring.find("new")) for _ in range(2))
        await asyncio.sleep(0)
        given_up.cancel()
        assert (await waiting).algorithm == "ES256"


async def test_a_request_during_a_fetch_waits_for_it(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", DEADLINE_S)
    ring = KeyRing(issuer.url, 300)
    async with ring.running():
        await filled(ring)
        monkeypatch.setattr(ring, "_spaced_at", 0.0)
        issuer.keys["new"] = EC
        issuer.fall_silent()
        first = asyncio.create_task(ring.find("new"))
        await fetched(issuer, 2)
        second = asyncio.create_task(ring.find("new"))
        await asyncio.sleep(0)  # it waits by now, though it is too soon for another fetch
        issuer.behave()
        assert await first is await second
        assert issuer.fetches == 2


async def test_a_fetch_that_fails_does_not_make_a_key_unknown(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(issuer.url, 300)
    async with ring.running():
        await filled(ring)
        monkeypatch.setattr(ring, "_spaced_at", 0.0)
        issuer.status = 500
        with pytest.raises(KeysAwayError):
            await ring.find("new")
        assert issuer.fetches == 2


async def test_a_silent_url_is_given_up_in_time(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", 0.2)
    issuer.fall_silent()
    ring = KeyRing(issuer.url, QUICK_S)
    async with ring.running():
        await fetched(issuer, 2)
        with pytest.raises(KeysAwayError):
            await ring.find("rsa")
        issuer.behave()
        await filled(ring)
        assert (await ring.find("rsa")).algorithm == "RS256"


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (404, None, {}),
        (302, b"", {"Location": "file:///etc/keys"}),
        (302, b"", {"Location": "{url}/moved"}),
        (204, b"", {}),
        (200, b"", {}),
        (200, b"\xff" * 100, {}),
        (200, b"[" * 100_000, {}),
        (200, PADDED, {}),
        (200, b"{}", {"Content-Encoding": "gzip"}),
        (200, None, {"Transfer-Encoding": "chunked"}),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_whatever_is_answered_the_keys_stay(
    issuer: Issuer, status: int, body: bytes | None, headers: dict[str, str]
) -> None:
    ring = KeyRing(issuer.url, QUICK_S)
    async with ring.running():
        await filled(ring)
        keys = ring.keys
        if body == PADDED:
            body = json.dumps({"keys": [public_jwk(EC, kid="new")]}).encode() + b" " * 10_000_000
        issuer.status, issuer.body = status, body
        issuer.headers = {name: text.format(url=issuer.url) for name, text in headers.items()}
        await fetched(issuer, issuer.fetches + 2)  # what was under way before is over
        issuer.keys["new"] = EC  # which would show if an answer was used
        await fetched(issuer, issuer.fetches + 2)
        assert ring.keys is keys
        with pytest.raises(KeysAwayError):
            await ring.find("other")


async def test_the_same_keys_again_are_no_change(issuer: Issuer) -> None:
    ring = KeyRing(issuer.url, QUICK_S)
    async with ring.running():
        await filled(ring)
        keys = ring.keys
        await fetched(issuer, 3)
        assert ring.keys is keys  # else every verified token would be forgotten
        del issuer.keys["rsa"]
        async with asyncio.timeout(DEADLINE_S):
            while ring.keys is keys:
                await asyncio.sleep(0.01)
        assert set(ring.keys) == {"ec"}


async def test_a_host_that_is_none_is_no_bug() -> None:
    for url in ("http://" + "a" * 64 + ".invalid/", "http://a..invalid/", "http://127.0.0.1:1/"):
        ring = KeyRing(url, 1)
        async with ring.running():
            with pytest.raises(KeysAwayError):
                await ring.find("x")
            assert not await ring._fetch()  # noqa: SLF001 - the loop would only log it


async def test_a_token_without_key_id_means_the_only_key(issuer: Issuer) -> None:
    ring = KeyRing(issuer.url, 300)
    ring.keys = {"rsa": Key("RS256", RSA.public_key())}
    assert (await ring.find(None)) is ring.keys["rsa"]
    ring.keys = {None: Key("RS256", RSA.public_key())}
    assert (await ring.find(None)) is ring.keys[None]
    ring.keys = {"rsa": Key("RS256", RSA.public_key()), None: Key("ES256", EC.public_key())}
    for key_id in (None, "x" * 10_000):
        with pytest.raises(UnknownKeyError):
            await ring.find(key_id)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"use": "sig"},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify"]},
        {"alg": True},
        {"x5c": ["MII"], "x5t": "a", "anything": [None]},
    ],
    ids=str,
)
def test_usable_keys_get_the_algorithm_of_their_type(
    algorithm: str, fields: dict[str, Any]
) -> None:
    key = RSA if algorithm == "RS256" else EC
    fields = fields | ({"alg": algorithm} if "alg" in fields else {})
    assert parsed(public_jwk(key, kid="k", **fields)) == {"k": Key(algorithm, key.public_key())}


@pytest.mark.parametrize("key", [RSA, EC], ids=["rsa", "ec"])
@pytest.mark.parametrize(
    "fields",
    [
        {"use": "enc"},
        {"use": None},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": "PS256"},
        {"alg": "RS512"},
        {"alg": ["RS256", "ES256"]},
        {"kid": 5},
        {"kid": None},
        {"kid": "x" * 257},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": ["RSA"]},
        {"d": "AQAB"},
        {"kty": MISSING},
        {"n": MISSING, "x": MISSING},
        {"n": "", "x": ""},
        {"n": 5, "x": 5},
        {"n": "é", "x": "é"},
        {"n": "AQAB", "x": "AQAB"},
        {"e": "AA", "y": "AA"},
        {"e": "AQ", "y": "A" * 43},
        {"e": {}, "y": {}},
    ],
    ids=str,
)
def test_unusable_keys_are_left_out(key: Any, fields: dict[str, Any]) -> None:
    jwk = public_jwk(key) | {"kid": "bad"} | fields
    jwk = {name: value for name, value in jwk.items() if value is not MISSING}
    good = public_jwk(ec_key(), kid="good")
    assert set(parsed(jwk, good, None, [], "x")) == {"good"}
    with pytest.raises(JwksError):
        parsed(jwk)


@pytest.mark.parametrize("key", [RSA, EC], ids=["rsa", "ec"])
def test_a_key_with_its_private_half_is_left_out(key: Any) -> None:
    algorithm = RSAAlgorithm if key is RSA else ECAlgorithm
    private = algorithm.to_jwk(key, as_dict=True)
    assert "d" in private
    for name in ("key_ops", "use", "alg"):
        private.pop(name, None)
    with pytest.raises(JwksError):
        parsed(private)


def test_weak_keys_and_other_curves_are_left_out() -> None:
    weak: list[PrivateKey] = [rsa_key(1024), ec_key(ec.SECP384R1), ec_key(ec.SECP256K1)]
    with pytest.raises(JwksError, match="none of the 3 keys"):
        parsed(*(public_jwk(key, kid=str(number)) for number, key in enumerate(weak)))
    # A curve that is only said to be the right one.
    with pytest.raises(JwksError):
        parsed(public_jwk(weak[2]) | {"crv": "P-256"})


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_field = st.sampled_from([*public_jwk(RSA), *public_jwk(EC), "use", "alg", "kid", "key_ops", "d"])


@given(st.binary() | _json.map(lambda value: json.dumps(value).encode()))
def test_nothing_but_a_jwks_error_comes_of_any_answer(document: bytes) -> None:
    with pytest.raises(JwksError):
        parse_keys(document)


@given(st.sampled_from([public_jwk(RSA), public_jwk(EC)]), st.dictionaries(_field, _json))
def test_nothing_but_a_jwks_error_comes_of_any_key(
    jwk: dict[str, Any], fields: dict[str, Any]
) -> None:
    try:
        keys = parsed(jwk | fields)
    except JwksError:
        return
    assert {key.algorithm for key in keys.values()} <= {"RS256", "ES256"}
