"""Tokens that are accepted and tokens that are not, at a gateway."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.auth.callers import LET_IN, UNAUTHENTICATED, Caller, challenge, refusal
from tests.auth.issuer import AUDIENCE, ISSUER, Issuer, ec_key, rsa_key, signed, usual_claims
from tests.harness.services import Gateway

DEADLINE_S = 30.0


def now(after_s: int = 0) -> int:
    return int(time.time()) + after_s


def at(claims: dict[str, Any]) -> dict[str, Any]:
    """Make times of claims that a test gives in seconds from now."""
    return {
        name: now(value) if name in ("exp", "nbf", "iat") and isinstance(value, int) else value
        for name, value in claims.items()
    }


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Return the part of a token that is signed."""
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (header, claims)
    )


@pytest.mark.parametrize("method", LET_IN)
@pytest.mark.parametrize("key_id", ["rsa", "ec"])
async def test_a_good_token_is_let_in(
    caller: Caller, issuer: Issuer, key_id: str, method: str
) -> None:
    for scheme in ("Bearer", "bearer", "BEARER "):
        answer = await caller.send(method, f"{scheme} {issuer.token(key_id)}")
        assert answer.status == LET_IN[method], answer.body


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [AUDIENCE]},
        {"aud": ["other", AUDIENCE]},
        {"iat": None},
        {"exp": -5},  # within the leeway, as the next two
        {"nbf": +20},
        {"iat": +20, "nbf": +20},
        {"exp": 10**20},
        {"sub": "someone", "jti": "1", "anything": {"else": [1, None]}},
    ],
    ids=str,
)
async def test_what_a_good_token_may_look_like(
    caller: Caller, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert await caller.is_let_in(issuer.token(**at(claims)))


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"exp": -60}, "the token has expired"),
        ({"nbf": +300}, "the token is not valid yet"),
        ({"iat": +300}, "the token is not valid yet"),
        ({"exp": None}, "the token has no claim exp"),
        ({"iss": None}, "the token has no claim iss"),
        ({"aud": None}, "the token has no claim aud"),
        ({"aud": []}, "the token has no claim aud"),
        ({"iss": "https://other.example"}, f"the token's issuer is not {ISSUER}"),
        ({"iss": ISSUER + "/"}, f"the token's issuer is not {ISSUER}"),
        ({"aud": "other"}, f"the token's audience is not {AUDIENCE}"),
        ({"aud": ["other", AUDIENCE + "-2"]}, f"the token's audience is not {AUDIENCE}"),
        ({"aud": AUDIENCE.upper()}, f"the token's audience is not {AUDIENCE}"),
        ({"exp": "soon"}, "the token is not a JWT, or one with malformed claims"),
        ({"exp": 1e400}, "the token is not a JWT, or one with malformed claims"),
        ({"sub": 5}, "the token is not a JWT, or one with malformed claims"),
    ],
    ids=str,
)
async def test_a_token_with_wrong_claims_is_refused_with_the_reason(
    caller: Caller, issuer: Issuer, claims: dict[str, Any], sentence: str
) -> None:
    for key_id in issuer.keys:
        token = issuer.token(key_id, **at(claims))
        for method in LET_IN:
            answer = await caller.send(method, f"Bearer {token}")
            assert refusal(answer, token) == (UNAUTHENTICATED, sentence)
            assert challenge(answer) == {"error": "invalid_token", "error_description": sentence}


SIGNATURE = "the token's signature does not match its key"
ALGORITHM = "the token is signed with another alg than its key's"
KEY_ID = "the token's kid is missing, or not among the issuer's keys"
MALFORMED = "the token is not a JWT, or one with malformed claims"


@pytest.mark.parametrize("key_id", ["rsa", "ec"])
async def test_a_token_of_another_key_is_refused(
    caller: Caller, issuer: Issuer, key_id: str
) -> None:
    key = rsa_key() if key_id == "rsa" else ec_key()
    token = signed(key, usual_claims(), kid=key_id)
    assert refusal(await caller.read(token), token) == (UNAUTHENTICATED, SIGNATURE)
    good = issuer.token(key_id)
    # Another payload under a good signature, a signature cut short, and none.
    header, payload, signature = good.split(".")
    other = unsigned({}, usual_claims(sub="root")).split(".")[1]
    for forged in (f"{header}.{other}.{signature}", good[:-8], f"{header}.{payload}."):
        status, sentence = refusal(await caller.read(forged), forged)
        assert (status, sentence in (SIGNATURE, MALFORMED)) == (UNAUTHENTICATED, True)
    assert await caller.is_let_in(good)


@pytest.mark.parametrize("key_id", ["rsa", "ec"])
async def test_the_algorithm_is_never_taken_from_the_token(
    caller: Caller, issuer: Issuer, key_id: str
) -> None:
    public = issuer.keys[key_id].public_key()
    claims = usual_claims()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), der, b""):  # an HMAC with what everyone knows
        start = unsigned({"alg": "HS256", "typ": "JWT", "kid": key_id}, claims)
        mac = hmac.new(secret, start.encode(), hashlib.sha256).digest()
        token = f"{start}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        assert refusal(await caller.read(token), token) == (UNAUTHENTICATED, ALGORITHM)
    for algorithm in ("none", "None", "", None, ["RS256"], "rs256", "PS256"):
        token = unsigned({"alg": algorithm, "kid": key_id}, claims) + "."
        assert refusal(await caller.read(token), token) == (UNAUTHENTICATED, ALGORITHM)
    other = "ec" if key_id == "rsa" else "rsa"  # a good key, called by another's name
    token = signed(issuer.keys[other], claims, kid=key_id)
    assert refusal(await caller.read(token), token) == (UNAUTHENTICATED, ALGORITHM)
    if key_id == "rsa":
        for algorithm in ("RS384", "RS512", "PS256"):
            token = jwt.encode(claims, issuer.keys["rsa"], algorithm, {"kid": "rsa"})
            assert refusal(await caller.read(token), token) == (UNAUTHENTICATED, ALGORITHM)


async def test_a_key_in_the_tokens_own_header_counts_nothing(
    caller: Caller, issuer: Issuer
) -> None:
    jwk = json.loads(issuer.jwks())["keys"][0]
    for header in ({"jwk": jwk}, {"jku": issuer.url}, {"x5u": issuer.url}):
        token = signed(rsa_key(), usual_claims(), **header)
        assert refusal(await caller.read(token), token) == (UNAUTHENTICATED, KEY_ID)
    token = signed(rsa_key(), usual_claims(), jwk=jwk, kid="rsa")
    assert refusal(await caller.read(token), token) == (UNAUTHENTICATED, SIGNATURE)


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "....",
        "a.b.c",
        "e30.e30.",
        "e30.e30.e30",
        "bnVsbA.e30.",
        "W10.e30.",
        unsigned({"alg": "RS256", "kid": 5}, {}) + ".",
        unsigned({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}, {}) + ".",
        unsigned({"alg": "RS256", "kid": "rsa", "b64": False, "crit": ["b64"]}, {}) + ".",
        base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.",
    ],
    ids=lambda token: token[:30],
)
async def test_what_is_no_jwt_is_refused(caller: Caller, token: str) -> None:
    answer = await caller.read(token)
    status, sentence = refusal(answer)
    assert status == UNAUTHENTICATED
    assert sentence in (MALFORMED, KEY_ID)
    assert challenge(answer)["error"] == "invalid_token"


async def test_a_token_is_verified_once_and_still_ends_in_time(
    caller: Caller, issuer: Issuer, guarded: Gateway
) -> None:
    name = "ingest_token_verifications_total"
    before = guarded.metric(name)
    token = issuer.token(exp=now(-30 + 3))
    deadline = time.monotonic() + DEADLINE_S
    accepted = 0
    while await caller.is_let_in(token):
        assert guarded.metric(name) == before + 1
        accepted += 1
        assert time.monotonic() < deadline, "a token lives on after it has expired"
    assert accepted > 1
    answer = await caller.read(token)
    assert refusal(answer, token) == (UNAUTHENTICATED, "the token has expired")


async def test_refusals_are_counted_by_reason(
    caller: Caller, issuer: Issuer, guarded: Gateway
) -> None:
    def counted() -> dict[str, float]:
        reasons = ("none", "expired", "scope", "resource_group", "malformed")
        return {
            reason: guarded.metric("ingest_auth_failures_total", reason=reason)
            for reason in reasons
        }

    before = counted()
    await caller.send("GET")
    await caller.read(issuer.token(exp=now(-100)))
    await caller.read(issuer.token(scope="other"))
    await caller.read(issuer.token(resource_groups="other"))
    await caller.read("x")
    await caller.read(issuer.token())
    assert counted() == {reason: count + 1 for reason, count in before.items()}
