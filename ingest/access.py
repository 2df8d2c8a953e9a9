"""Who may come in: checks that stand before an endpoint, so before a body is read."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum, auto
from typing import Protocol

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest import telemetry
from ingest.contract.parse import check_resource_group
from ingest.dispatch import Endpoint
from ingest.errors import Error, RequestError
from ingest.jwks import KeyRing, KeysAwayError
from ingest.settings import GatewaySettings
from ingest.tokens import TokenError, TokenRules, TokenVerifier

# RFC 6750, section 2.1.
_CREDENTIALS = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)", re.ASCII)
_REALM = "metrics"


class Permission(Enum):
    """What a request does to the metrics of its resource group."""

    READ = auto()
    WRITE = auto()


class Access(Protocol):
    """Decide about requests."""

    @property
    def ready(self) -> bool:
        """Whether it has ever been able to decide."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Be able to decide inside the block."""

    def guard(self, endpoint: Endpoint, permission: Permission) -> Endpoint:
        """Return the endpoint for those only who have the permission."""


def access_from(settings: GatewaySettings) -> Access:
    """Make what the settings say."""
    if settings.auth == "none":
        return OpenAccess()
    ring = KeyRing(settings.jwt_jwks_url, settings.jwt_refresh_s)
    rules = TokenRules(
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_leeway_s,
        settings.jwt_scope_claim,
        settings.jwt_groups_claim,
    )
    scopes = {Permission.READ: settings.jwt_read_scope, Permission.WRITE: settings.jwt_write_scope}
    return TokenAccess(ring, TokenVerifier(ring, rules), scopes)


class OpenAccess:
    """Everyone may do everything."""

    ready = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have nothing to do."""
        yield

    def guard(self, endpoint: Endpoint, _permission: Permission) -> Endpoint:
        """Return the endpoint as it is."""
        return endpoint


class TokenAccess:
    """Those may come in who have a bearer token with the scope and the resource group."""

    def __init__(
        self, ring: KeyRing, tokens: TokenVerifier, scopes: Mapping[Permission, str]
    ) -> None:
        self._ring = ring
        self._tokens = tokens
        self._scopes = scopes

    @property
    def ready(self) -> bool:
        """Whether there were ever keys."""
        return bool(self._ring.keys)

    def running(self) -> AbstractAsyncContextManager[None]:
        """Keep the keys fresh inside the block."""
        return self._ring.running()

    def guard(self, endpoint: Endpoint, permission: Permission) -> Endpoint:
        """Return the endpoint with the check before it."""

        async def guarded(request: BaseRequest, request_id: str) -> web.StreamResponse:
            await self._check(request, permission)
            return await endpoint(request, request_id)

        return guarded

    async def _check(self, request: BaseRequest, permission: Permission) -> None:
        """Let a request pass.

        Raises:
            RequestError: UNAUTHENTICATED, FORBIDDEN, KEYS_AWAY, HEADER_INVALID.
        """
        token = _bearer_token(request)
        try:
            grant = await self._tokens.verify(token)
        except TokenError as error:
            raise _refusal(
                error.reason, Error.UNAUTHENTICATED, str(error), error="invalid_token"
            ) from error
        except KeysAwayError as error:
            telemetry.AUTH_FAILURES.labels("keys_away").inc()
            raise RequestError(
                Error.KEYS_AWAY, [str(error)], retry_after_s=error.retry_after_s
            ) from error
        scope = self._scopes[permission]
        if scope not in grant.scopes:
            raise _refusal(
                "scope",
                Error.FORBIDDEN,
                f"the token does not have the scope {scope}",
                error="insufficient_scope",
                scope=scope,
            )
        group = request.headers.get("AI-Resource-Group")
        # A group that is none is left to the endpoint, which refuses it with everything else.
        if not grant.permits_group(group) and check_resource_group(group) is None:
            raise _refusal(
                "resource_group",
                Error.FORBIDDEN,
                "the token does not permit this resource group",
                error="insufficient_scope",
            )


def _bearer_token(request: BaseRequest) -> str:
    given = request.headers.getall("Authorization", [])
    if len(given) > 1:  # perhaps a proxy's beside the caller's: it must be clear which one counts
        raise _refusal(
            "repeated",
            Error.HEADER_INVALID,
            "(header Authorization): is there more than once",
            error="invalid_request",
        )
    if not given or given[0].partition(" ")[0].lower() != "bearer":
        raise _refusal("none", Error.UNAUTHENTICATED, "send Authorization: Bearer and a token")
    credentials = _CREDENTIALS.fullmatch(given[0])
    if credentials is None:
        raise _refusal(
            "malformed",
            Error.UNAUTHENTICATED,
            "what follows Bearer is not a token",
            error="invalid_token",
        )
    return credentials[1]


def _refusal(reason: str, failure: Error, sentence: str, **attributes: str) -> RequestError:
    """Make and count the error of a refusal, with a challenge as in RFC 6750, section 3.

    Who sent no token is told nothing but that one is needed.
    """
    telemetry.AUTH_FAILURES.labels(reason).inc()
    if attributes:
        attributes["error_description"] = sentence
    challenge = "".join(f', {name}="{value}"' for name, value in attributes.items())
    return RequestError(
        failure, [sentence], headers={"WWW-Authenticate": f'Bearer realm="{_REALM}"{challenge}'}
    )
