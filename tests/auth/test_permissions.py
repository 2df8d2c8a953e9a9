"""What a token permits, and the forms of a request's credentials."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.wire import PATH, Wire
from tests.auth.callers import FORBIDDEN, LET_IN, UNAUTHENTICATED, Caller, challenge, refusal
from tests.auth.issuer import Issuer
from tests.harness.services import Gateway

SCOPES = {"GET": "metrics.read", "PATCH": "metrics.write", "DELETE": "metrics.write"}


@pytest.mark.parametrize("method", LET_IN)
async def test_each_method_needs_its_scope_and_no_other(
    caller: Caller, issuer: Issuer, method: str
) -> None:
    needed = SCOPES[method]
    others = ({"metrics.read", "metrics.write"} - {needed}).pop()
    good: list[Any] = [needed, [needed], f"a {needed} b", ["a", needed]]
    for scope in good:
        answer = await caller.send(method, f"Bearer {issuer.token(scope=scope)}")
        assert answer.status == LET_IN[method], answer.body
    bad: list[Any] = [None, "", others, [others], needed + "s", needed.upper(), 5, {needed: True}]
    for scope in bad:
        token = issuer.token(scope=scope)
        answer = await caller.send(method, f"Bearer {token}")
        sentence = f"the token does not have the scope {needed}"
        assert refusal(answer, token) == (FORBIDDEN, sentence)
        assert challenge(answer) == {
            "error": "insufficient_scope",
            "scope": needed,
            "error_description": sentence,
        }


@pytest.mark.parametrize("method", LET_IN)
async def test_only_the_resource_groups_of_the_token_may_be_used(
    guarded: Gateway, issuer: Issuer, method: str
) -> None:
    group = f"group-{uuid4().hex}"
    async with Caller(guarded.url, resource_group=group) as caller:
        for groups in ([group], group, ["a", group], f"a {group}", "*", ["a", "*"]):
            answer = await caller.send(method, f"Bearer {issuer.token(resource_groups=groups)}")
            assert answer.status == LET_IN[method], answer.body
        for other in (None, [], "", "a", ["a", "b"], group + "x", group.upper(), "**", [5]):
            token = issuer.token(resource_groups=other)
            answer = await caller.send(method, f"Bearer {token}")
            sentence = "the token does not permit this resource group"
            assert refusal(answer, token) == (FORBIDDEN, sentence)
            assert challenge(answer)["error"] == "insufficient_scope"


async def test_a_caller_sees_its_own_group_only(guarded: Gateway, issuer: Issuer) -> None:
    mine, other = f"mine-{uuid4().hex}", f"other-{uuid4().hex}"
    token = f"Bearer {issuer.token(resource_groups=[mine])}"
    async with (
        Caller(guarded.url, mine, Authorization=token) as allowed,
        Caller(guarded.url, other, Authorization=token) as foreign,
    ):
        await allowed.accepted({"executionId": "run-1"})
        assert (await allowed.resource("run-1"))["executionId"] == "run-1"
        assert (await foreign.patch({"executionId": "run-1"})).status == 403
        assert (await foreign.query(executionIds="run-1")).status == 403
        assert (await foreign.query(tagFilters="a=b")).status == 403
        assert (await foreign.delete("run-1")).status == 403
        assert (await allowed.delete("run-1")).status == 200


@pytest.mark.parametrize("method", LET_IN)
@pytest.mark.parametrize("groups", ["*", "some-group"])
async def test_a_header_that_is_no_resource_group_is_400_not_403(
    guarded: Gateway, issuer: Issuer, method: str, groups: str
) -> None:
    authorization = f"Bearer {issuer.token(resource_groups=groups)}"
    for group in ("*", "-", "a b", "x" * 254):
        async with Caller(guarded.url, resource_group=group) as caller:
            answer = await caller.send(method, authorization)
            assert (answer.status, answer.error["code"]) == (400, "02011004")
            assert (await caller.send(method)).status == 401  # first of all: who is it


@pytest.mark.parametrize("method", LET_IN)
@pytest.mark.parametrize(
    "credentials", [[], ["Basic dTpw"], [""], ["Bear x"], ["Token x"]], ids=str
)
async def test_without_a_bearer_token_nothing_is_said_but_that_one_is_needed(
    caller: Caller, method: str, credentials: list[str]
) -> None:
    answer = await caller.send(method, *credentials)
    assert refusal(answer) == (UNAUTHENTICATED, "send Authorization: Bearer and a token")
    assert challenge(answer) == {}
    assert answer.error["message"] == "A valid bearer token is required."


@pytest.mark.parametrize(
    "credentials", ["Bearer", "Bearer a b", "Bearer é", "Bearer a,b", 'Bearer "a"', "Bearer\ta"]
)
async def test_a_malformed_bearer_token_is_401(caller: Caller, credentials: str) -> None:
    answer = await caller.send("GET", credentials)
    assert refusal(answer)[0] == UNAUTHENTICATED


async def test_two_authorization_headers_are_refused_even_if_each_is_good(
    caller: Caller, issuer: Issuer
) -> None:
    token = issuer.token()
    for second in (token, issuer.token("ec"), "x"):
        answer = await caller.send("GET", f"Bearer {token}", f"Bearer {second}")
        assert refusal(answer, token)[0] == (400, "02011004")
        assert challenge(answer)["error"] == "invalid_request"


async def test_paths_and_methods_that_do_not_exist_need_no_token(
    caller: Caller, guarded: Gateway
) -> None:
    assert (await caller.request("GET", url=f"{guarded.url}/other")).status == 404
    assert (await caller.request("PUT")).status == 405


def test_who_may_not_come_in_is_told_so_before_the_body_is_sent(
    guarded: Gateway, issuer: Issuer
) -> None:
    for authorization, status in (
        ("", 401),
        (f"Authorization: Bearer {issuer.token(scope='metrics.read')}\r\n", 403),
        (f"Authorization: Bearer {issuer.token(resource_groups='other')}\r\n", 403),
    ):
        with Wire(guarded.port) as wire:
            wire.send(
                f"PATCH {PATH} HTTP/1.1\r\nHost: localhost\r\nAI-Resource-Group: wire\r\n"
                f"{authorization}Content-Type: text/plain\r\nContent-Length: 1000000\r\n"
                "Expect: 100-continue\r\n\r\n".encode()
            )
            answer = wire.answer()
            assert answer is not None
            assert answer.status == status  # neither 100 nor 415


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer %s" + b"x" * 100_000,
        b"Authorization: Bearer %s\x01",
        b"Authorization: Bearer %s\nX: y",
        b"Authorization: Bearer %s\r\n folded",
        b"Authorization : Bearer %s",
        b"Authorization Bearer %s",
        b" Authorization: Bearer %s",
        b"Authorization: Bearer %s\r\nContent-Length: x",
    ],
    ids=lambda header: repr(header[:60]),
)
def test_a_token_in_malformed_http_is_neither_answered_nor_logged(
    guarded: Gateway, header: bytes
) -> None:
    secret = f"eyJ{uuid4().hex}"
    with Wire(guarded.port) as wire:
        line = b"GET " + PATH.encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
        wire.send(line + header.replace(b"%s", secret.encode()) + b"\r\n\r\n")
        answer = wire.answer()
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (400, "02011006")
    assert secret[:8].encode() not in answer.body
    assert secret[:8] not in guarded.process.log.read_text()


async def test_claims_scopes_and_their_names_are_settings(
    gateway: Gateway, issuer: Issuer, tmp_path: Any
) -> None:
    settings = {
        "INGEST_JWT_SCOPE_CLAIM": "realm_access.roles",
        "INGEST_JWT_GROUPS_CLAIM": "https://claims.example/groups",
        "INGEST_JWT_READ_SCOPE": "viewer",
        "INGEST_JWT_WRITE_SCOPE": "app!t1.editor",
        "INGEST_JWT_LEEWAY_S": "0",
    }
    other = Gateway(tmp_path, gateway.environment | issuer.settings | settings)
    try:
        other.start()
        roles: dict[str, Any] = {
            "realm_access": {"roles": ["viewer", "app!t1.editor"]},
            "scope": None,
        }
        groups: dict[str, Any] = {"https://claims.example/groups": ["*"], "resource_groups": None}
        async with Caller(other.url) as caller:
            token = issuer.token(**roles, **groups)
            for method, status in LET_IN.items():
                assert (await caller.send(method, f"Bearer {token}")).status == status
            assert (await caller.read(issuer.token(**groups))).status == 403
            assert (await caller.read(issuer.token(**roles))).status == 403
            answer = await caller.read(issuer.token(exp=1, **roles, **groups))
            assert refusal(answer)[1] == "the token has expired"
    finally:
        other.stop()
