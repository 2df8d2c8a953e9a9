"""Bearer tokens: JWTs (RFC 7519), verified once and remembered for as long as they are valid."""

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import jwt

from ingest import telemetry
from ingest.jwks import Key, KeyRing, Keys, UnknownKeyError

ALL_GROUPS = "*"
# Verified tokens that are remembered. One beyond them costs a signature check again.
MAX_VERIFIED = 4096
# A later expiry is as good as none, and would not fit a float.
_MAX_TIME_S = 2**53

# Why a token is refused, most specific first: a label of the counter, and a sentence for the
# caller. Nothing of the token itself is in it.
_REFUSALS: tuple[tuple[type[Exception], str, str], ...] = (
    (jwt.ExpiredSignatureError, "expired", "the token has expired"),
    (jwt.ImmatureSignatureError, "not_yet_valid", "the token is not valid yet"),
    (jwt.InvalidAudienceError, "audience", "the token's audience is not {audience}"),
    (jwt.InvalidIssuerError, "issuer", "the token's issuer is not {issuer}"),
    (jwt.MissingRequiredClaimError, "claim_missing", "the token has no claim {claim}"),
    (jwt.InvalidAlgorithmError, "algorithm", "the token is signed with another alg than its key's"),
    (jwt.InvalidSignatureError, "signature", "the token's signature does not match its key"),
    (UnknownKeyError, "key_unknown", "the token's kid is missing, or not among the issuer's keys"),
    (jwt.PyJWTError, "malformed", "the token is not a JWT, or one with malformed claims"),
)


class TokenError(Exception):
    """A token that is refused, with the reason (a word) and a sentence without its contents."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say, and where it says what its bearer may do."""

    issuer: str
    audience: str
    leeway_s: float
    scope_claim: str
    groups_claim: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified token permits, until a time in seconds since 1970."""

    scopes: frozenset[str]
    groups: frozenset[str]
    expires_at: float

    def permits_group(self, group: str | None) -> bool:
        """Tell whether a resource group may be used."""
        return group in self.groups or ALL_GROUPS in self.groups


class TokenVerifier:
    """Verify tokens with the keys of a ring."""

    def __init__(self, ring: KeyRing, rules: TokenRules) -> None:
        self._ring = ring
        self._rules = rules
        self._verified: dict[bytes, Grant] = {}  # by the token's hash: no token stays in memory
        self._verified_with: Keys = ring.keys

    async def verify(self, token: str) -> Grant:
        """Return what an ASCII token permits.

        Raises:
            TokenError: it is refused.
            KeysAwayError: its key is not known and cannot be fetched now.
        """
        digest = hashlib.sha256(token.encode()).digest()
        grant = self._remembered().get(digest)
        if grant is None:
            try:
                key = await self._ring.find(jwt.get_unverified_header(token).get("kid"))
                grant = self._check(token, key)
            except (jwt.PyJWTError, UnknownKeyError) as error:
                raise self._refusal(error) from error
            self._remember(digest, grant)
        elif grant.expires_at <= time.time():
            del self._verified[digest]
            raise self._refusal(jwt.ExpiredSignatureError())
        return grant

    def _remembered(self) -> dict[bytes, Grant]:
        """Return what is remembered: nothing any longer, once the keys have changed."""
        if self._verified_with is not self._ring.keys:
            self._verified_with = self._ring.keys
            self._verified = {}
        return self._verified

    def _remember(self, digest: bytes, grant: Grant) -> None:
        verified = self._remembered()
        if len(verified) >= MAX_VERIFIED:
            del verified[next(iter(verified))]  # the oldest
        verified[digest] = grant

    def _check(self, token: str, key: Key) -> Grant:
        """Check signature and claims. The algorithm is the key's: the token's word must agree."""
        telemetry.TOKEN_VERIFICATIONS.inc()
        claims = jwt.decode(
            token,
            key.public,
            algorithms=[key.algorithm],
            issuer=self._rules.issuer,
            audience=self._rules.audience,
            leeway=self._rules.leeway_s,
            options={"require": ["exp"]},
        )
        return Grant(
            words(claims, self._rules.scope_claim),
            words(claims, self._rules.groups_claim),
            min(int(claims["exp"]), _MAX_TIME_S) + self._rules.leeway_s,
        )

    def _refusal(self, error: Exception) -> TokenError:
        reason, sentence = next(
            (reason, sentence) for kind, reason, sentence in _REFUSALS if isinstance(error, kind)
        )
        claim = getattr(error, "claim", "")  # of those that are required
        rules = self._rules
        return TokenError(
            reason, sentence.format(audience=rules.audience, issuer=rules.issuer, claim=claim)
        )


def words(claims: dict[str, Any], name: str) -> frozenset[str]:
    """Return the words of a claim: a list of strings, or one string with spaces between them.

    A claim that is absent, or of another type, has none. `a.b` names the claim of that name, or
    else `b` inside `a`.
    """
    value: Any = claims.get(name)
    if value is None and "." in name:
        value = claims
        for step in name.split("."):
            value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, str):
        value = value.split()
    return (
        frozenset(one for one in value if isinstance(one, str))
        if isinstance(value, list)
        else frozenset()
    )
