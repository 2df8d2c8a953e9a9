"""Requests with tokens, and what their refusals look like."""

import re
from typing import Any

from tests.harness.client import Answer, Client

UNAUTHENTICATED = (401, "02011041")
FORBIDDEN = (403, "02011042")
KEYS_AWAY = (503, "02011034")
WHERE = {"executionIds": "no-such-execution"}
# What a request is answered that was let in.
LET_IN = {"GET": 404, "PATCH": 204, "DELETE": 404}


class Caller(Client):
    """A client that sends one request at a time, each with the credentials it is given."""

    async def send(self, method: str, *credentials: str, **headers: str) -> Answer:
        """Send a request that does nothing, with Authorization headers."""
        every = [*self.headers.items(), *headers.items()]
        every += [("Authorization", one) for one in credentials]
        if method == "PATCH":
            every.append(("Content-Type", "application/json"))
            return await self.request(
                method, headers=every, data=b'{"executionId": "nothing-much"}'
            )
        parameters = WHERE if method == "GET" else {"executionId": "no-such-execution"}
        return await self.request(method, headers=every, params=parameters)

    async def read(self, token: str) -> Answer:
        """Send a GET with a token."""
        return await self.send("GET", f"Bearer {token}")

    async def is_let_in(self, token: str) -> bool:
        """Tell whether a token is accepted; fails unless the answer is clear about it."""
        answer = await self.read(token)
        assert answer.status in (401, 404), answer.body
        return answer.status == 404


def refusal(answer: Answer, token: str = "") -> tuple[tuple[int, str], str]:
    """Return status and code, and the details; nothing of the token may be in the answer."""
    everything = answer.body + repr(answer.headers).encode()
    for part in token.split("."):
        assert len(part) < 8 or part[:8].encode() not in everything
    return (answer.status, answer.error["code"]), answer.details


def challenge(answer: Answer) -> dict[str, Any]:
    """Return the attributes of WWW-Authenticate."""
    scheme, _, attributes = answer.headers["WWW-Authenticate"].partition(" ")
    assert scheme == "Bearer"
    attribute = re.compile(r'([a-z_]+)="([^"\\]*)"(?:, |$)')
    assert attribute.sub("", attributes) == ""
    found = dict(attribute.findall(attributes))
    assert found.pop("realm") == "metrics"
    return found
