"""What is made of a token's claims, without a gateway."""

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt.api_jws import PyJWS

from ingest import tokens
from ingest.jwks import Key, KeyRing, KeysAwayError
from ingest.tokens import Grant, TokenError, TokenRules, TokenVerifier, words
from tests.auth.issuer import AUDIENCE, ISSUER, ec_key, signed, usual_claims

KEY = ec_key()
RULES = TokenRules(ISSUER, AUDIENCE, 30.0, "scope", "resource_groups")

_word = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.lists(_word))
def test_a_list_and_a_text_with_spaces_are_the_same(given_words: list[str]) -> None:
    expected = frozenset(given_words)
    assert words({"scope": given_words}, "scope") == expected
    assert words({"scope": " ".join(given_words)}, "scope") == expected
    assert words({"a": {"b": {"c": given_words}}}, "a.b.c") == expected
    assert words({"a.b.c": given_words, "a": {"b": {"c": ["no"]}}}, "a.b.c") == expected


@pytest.mark.parametrize("claim", [None, True, 5, 0.5, {}, {"x": 1}, [], "", " ", [5, None, ["x"]]])
def test_a_claim_of_another_type_has_no_words(claim: Any) -> None:
    assert words({"scope": claim}, "scope") == frozenset()
    assert words({"a": claim}, "a.b") == frozenset()
    assert words({}, "a.b") == frozenset()
    for leaf in ("x", ["x"], {"c": ["x"]}):
        assert words({"a": leaf}, "a.b") == frozenset()


@given(_word, st.frozensets(_word))
def test_a_group_is_permitted_if_it_or_all_are_named(group: str, groups: frozenset[str]) -> None:
    permitted = Grant(frozenset(), groups, 0).permits_group(group)
    assert permitted == (group in groups or "*" in groups)
    assert Grant(frozenset(), groups | {"*"}, 0).permits_group(group)


def signed_claims(claims: dict[str, Any]) -> str:
    """Sign any claims; PyJWT itself would refuse to sign some of these."""
    return PyJWS().encode(json.dumps(claims).encode(), KEY, "ES256", {"kid": "k"})


def filled_ring() -> KeyRing:
    """Make a ring with one key, which fetches nothing."""
    ring = KeyRing("http://127.0.0.1:1/", 300)
    ring._spaced_at = time.monotonic() + 300  # noqa: SLF001 - it is not running
    ring.keys = {"k": Key("ES256", KEY.public_key())}
    return ring


async def outcome(token: str) -> Grant | TokenError | KeysAwayError:
    try:
        return await TokenVerifier(filled_ring(), RULES).verify(token)
    except (TokenError, KeysAwayError) as error:
        return error


@given(st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "sub", "jti"]), _json))
def test_claims_of_any_type_come_to_a_grant_or_a_refusal(changes: dict[str, Any]) -> None:
    found = asyncio.run(outcome(signed_claims(usual_claims() | changes)))
    assert isinstance(found, Grant) or changes


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "x5c"]), _json), _json)
def test_headers_of_any_type_are_refused(header: dict[str, Any], claims: Any) -> None:
    parts = [json.dumps(part).encode() for part in (header, claims)]
    token = ".".join(base64.urlsafe_b64encode(part).decode() for part in [*parts, b"signature"])
    assert not isinstance(asyncio.run(outcome(token)), Grant)


@given(st.integers(), st.integers(0, 300))
def test_a_token_is_valid_until_its_expiry_and_the_leeway(offset: int, leeway_s: int) -> None:
    async def verified() -> Grant:
        rules = TokenRules(ISSUER, AUDIENCE, leeway_s, "scope", "resource_groups")
        token = signed(KEY, usual_claims(exp=expiry), kid="k")
        return await TokenVerifier(filled_ring(), rules).verify(token)

    expiry = int(time.time()) + offset
    if abs(offset + leeway_s) < 5:
        return  # may pass while the test runs
    if offset + leeway_s > 0:
        grant = asyncio.run(verified())
        assert grant.expires_at == min(expiry, 2**53) + leeway_s
    else:
        with pytest.raises(TokenError, match="has expired"):
            asyncio.run(verified())


async def test_as_many_tokens_are_remembered_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_VERIFIED", 3)
    verifier = TokenVerifier(filled_ring(), RULES)
    several = [signed(KEY, usual_claims(jti=str(number)), kid="k") for number in range(5)]
    grants = [await verifier.verify(token) for token in several]
    again = [await verifier.verify(token) for token in reversed(several)]
    known = [old is new for old, new in zip(grants, reversed(again), strict=True)]
    assert known == [False, False, True, True, True]


async def test_a_remembered_token_ends_with_its_time_and_with_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring = filled_ring()
    verifier = TokenVerifier(ring, RULES)
    token = signed(KEY, usual_claims(), kid="k")
    grant = await verifier.verify(token)
    assert await verifier.verify(token) is grant
    ring.keys = dict(ring.keys)
    renewed = await verifier.verify(token)
    assert renewed is not grant
    assert renewed == grant
    ring.keys = {"other": Key("ES256", KEY.public_key())}
    with pytest.raises(KeysAwayError):
        await verifier.verify(token)
    ring.keys = {"k": Key("ES256", ec_key().public_key())}
    with pytest.raises(TokenError, match="signature"):
        await verifier.verify(token)

    ring.keys = filled_ring().keys
    await verifier.verify(token)
    monkeypatch.setattr(time, "time", lambda: grant.expires_at - 0.1)
    await verifier.verify(token)
    monkeypatch.setattr(time, "time", lambda: grant.expires_at)
    with pytest.raises(TokenError, match="has expired"):
        await verifier.verify(token)
