"""The keys that tokens are signed with: a JWKS (RFC 7517) from a URL, cached and kept fresh.

Only a background task fetches. So any number of requests share one fetch, none of them can break
it off, and how often the URL is asked does not depend on what callers send.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ingest import telemetry
from ingest.runtime.backoff import backoff_s

log = logging.getLogger(__name__)

FETCH_TIMEOUT_S = 5.0
# An unknown key id may cause a fetch this long after the fetch before; whoever sends random ones
# causes no more.
SPACING_S = 10.0
_RETRY_MIN_S = 0.5
_RETRY_MAX_S = 10.0

_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100
_MAX_KEY_ID_CHARS = 256
_MAX_ABSENT = 1000
# Less is weak (RFC 7518, section 3.3), more would make every signature check slow.
_RSA_BITS = range(2048, 8192 + 1)


class KeysAwayError(Exception):
    """Nobody can say now whether there is such a key: ask again after `retry_after_s`."""

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = max(1, math.ceil(retry_after_s))


class UnknownKeyError(Exception):
    """There is no such key."""


class JwksError(Exception):
    """The URL gave no usable keys. The message does not name the URL, which may hold a password."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key and the one algorithm (`RS256`, `ES256`) it is used with."""

    algorithm: str
    public: RSAPublicKey | EllipticCurvePublicKey


Keys = Mapping[str | None, Key]


class KeyRing:
    """The keys by key id. `keys` is replaced as a whole, and only when they have changed.

    When the URL is away or answers nonsense, the keys it gave before go on being used.
    """

    def __init__(self, url: str, refresh_s: float) -> None:
        self.keys: Keys = {}
        self._url = url
        self._refresh_s = refresh_s
        self._clock = asyncio.get_running_loop().time
        self._wanted = asyncio.Event()  # a fetch before its time
        self._fetching = False
        self._fetched = asyncio.Event()  # the end of the next fetch, or of the one under way
        self._reached = False  # whether the last fetch gave keys
        self._spaced_at = 0.0  # when a fetch may be wanted again
        self._absent: set[str | None] = set()  # looked for in vain since the last fetch

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fetch, at once and then again and again, inside the block."""
        async with asyncio.TaskGroup() as tasks:
            fetching = tasks.create_task(self._keep_fetching())
            try:
                yield
            finally:
                fetching.cancel()

    async def find(self, key_id: str | None) -> Key:
        """Return a key by its id, or without one the only key there is.

        For an id that is not known, the keys are fetched anew first, unless that has just been
        done. This takes FETCH_TIMEOUT_S at most.

        Raises:
            UnknownKeyError: the keys were fetched since the id was first asked for.
            KeysAwayError: they could not be fetched, or not yet.
        """
        key = self._known(key_id)
        if key is not None:
            return key
        if not self.keys:
            raise KeysAwayError("the keys have not been fetched yet", _RETRY_MIN_S)
        if key_id is None or len(key_id) > _MAX_KEY_ID_CHARS:
            raise UnknownKeyError
        fresh = await self._fetch_soon()
        key = self._known(key_id)
        if key is not None:
            return key
        if not self._reached:
            raise KeysAwayError("the key is unknown, and no newer keys can be had", _RETRY_MAX_S)
        if not fresh and key_id not in self._absent:
            wait_s = self._spaced_at - self._clock()
            raise KeysAwayError("the key is unknown, the keys will be fetched again", wait_s)
        if len(self._absent) < _MAX_ABSENT:
            self._absent.add(key_id)
        raise UnknownKeyError

    def _known(self, key_id: str | None) -> Key | None:
        if key_id is None and len(self.keys) == 1:
            return next(iter(self.keys.values()))
        return self.keys.get(key_id) if key_id is not None else None

    async def _fetch_soon(self) -> bool:
        """Wait for the fetch under way, or for a new one; False if there was none."""
        if not self._fetching:
            if self._clock() < self._spaced_at:
                return False
            self._wanted.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                return await self._fetched.wait()
        return False

    async def _keep_fetching(self) -> None:
        failures = 0
        while True:
            self._wanted.clear()
            self._spaced_at = self._clock() + min(SPACING_S, self._refresh_s)
            self._fetching = True
            self._reached = await self._fetch()
            self._fetching = False
            self._fetched.set()
            self._fetched = asyncio.Event()
            failures = 0 if self._reached else failures + 1
            pause_s = self._refresh_s
            if failures:
                pause_s = backoff_s(failures, _RETRY_MIN_S, min(_RETRY_MAX_S, self._refresh_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wanted.wait()

    async def _fetch(self) -> bool:
        """Fetch once; returns whether there are keys, which then are the current ones."""
        try:
            keys = parse_keys(await _download(self._url))
        except JwksError as error:
            telemetry.JWKS_FETCHES.labels("failed").inc()
            log.warning(
                "the keys of tokens could not be fetched",
                extra={"reason": str(error), "older_keys": len(self.keys)},
            )
            return False
        telemetry.JWKS_FETCHES.labels("ok").inc()
        telemetry.JWKS_FETCHED_AT.set(time.time())
        if keys != self.keys:
            self.keys = keys
            telemetry.JWKS_KEYS.set(len(keys))
            log.info("the keys of tokens have changed", extra={"keys": len(keys)})
        self._absent.clear()
        return True


async def _download(url: str) -> bytes:
    """Return what the URL answers. Redirects are not followed: the setting names the place.

    Raises:
        JwksError: it cannot be reached, or answers too late, too much, or with an error.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)) as session,
            session.get(url, allow_redirects=False, headers={"Accept": "*/*"}) as response,
        ):
            if response.status != 200:  # noqa: PLR2004 - the one status that means success
                raise JwksError(f"the answer is {response.status}")
            document = bytearray()
            async for chunk in response.content.iter_any():
                document += chunk
                if len(document) > _MAX_BYTES:
                    raise JwksError(f"the answer is larger than {_MAX_BYTES} bytes")
            return bytes(document)
    except TimeoutError as error:
        raise JwksError(f"no answer within {FETCH_TIMEOUT_S:g} s") from error
    except aiohttp.ClientConnectorError as error:
        raise JwksError(f"{error}"[:300]) from error  # names the host only
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: no host name
        raise JwksError(type(error).__name__) from error


def parse_keys(document: bytes) -> dict[str | None, Key]:
    """Return the usable keys of a JWKS; what else is in it is left out (RFC 7517, section 5).

    Raises:
        JwksError: it is not a JWKS, or no key in it is usable.
    """
    try:
        jwks = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise JwksError(f"the answer is not JSON: {error}") from error
    entries = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(entries, list):
        raise JwksError("the answer is not a JWKS: it has no list of keys")
    keys: dict[str | None, Key] = {}
    for entry in entries[:_MAX_KEYS]:
        key = _usable_key(entry) if isinstance(entry, dict) else None
        if key is not None:
            keys.setdefault(entry.get("kid"), key)
    if not keys:
        raise JwksError(f"none of the {len(entries)} keys is usable")
    return keys


def _usable_key(jwk: dict[str, Any]) -> Key | None:
    """Return a key for signatures of RS256 or ES256; None if it is anything else.

    The algorithm follows from the key's type, never from a token (RFC 8725, section 3.1). A key
    that is published with its private half proves nothing.
    """
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", _:
            algorithm = "RS256"
        case "EC", "P-256":
            algorithm = "ES256"
        case _:
            return None
    key_id, operations = jwk.get("kid", ""), jwk.get("key_ops", ["verify"])
    if (
        "d" in jwk
        or jwk.get("use", "sig") != "sig"
        or jwk.get("alg", algorithm) != algorithm
        or not isinstance(operations, list)
        or "verify" not in operations
        or not isinstance(key_id, str)
        or len(key_id) > _MAX_KEY_ID_CHARS
    ):
        return None
    try:
        public = jwt.PyJWK(jwk, algorithm).key
    except (jwt.PyJWTError, UnsupportedAlgorithm):
        return None
    if isinstance(public, RSAPublicKey) and public.key_size not in _RSA_BITS:
        return None
    return Key(algorithm, public)
