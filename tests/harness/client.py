"""A client of the API as tests need it: every byte of a request under their control."""

import json
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from multidict import CIMultiDictProxy

from tests.harness.documented import documented

EXAMPLE: dict[str, Any] = {
    "executionId": "aa97b177-9383-4934-8543-0f91a7a0283a",
    "metrics": [
        {
            "name": "Error Rate",
            "value": 0.98,
            "timestamp": "2020-11-12T12:18:01.539Z",
            "step": 2,
            "labels": [
                {"name": "group", "value": "tree-82"},
                {"name": "metrics.ai.sap.com/Artifact.name", "value": "my_model_name"},
            ],
        }
    ],
    "tags": [{"name": "Artifact Group", "value": "RFC-1"}],
    "customInfo": [
        {
            "name": "Confusion Matrix",
            "value": "[{'Predicted': 'False', 'Actual': 'False', 'value': 34}, "
            "{'Predicted': 'False', 'Actual': 'True', 'value': 124}, "
            "{'Predicted': 'True', 'Actual': 'False', 'value': 165}, "
            "{'Predicted': 'True', 'Actual': 'True', 'value': 36}]",
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error that the body reports; fails unless it has the one shape."""
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"code", "message", "requestId", "target", "details"}
        assert error["target"] == "/metrics"
        assert error["requestId"] == self.headers["X-Request-ID"]
        assert error["details"]
        for detail in error["details"]:
            assert set(detail) == {"code", "message"}
        return error

    @property
    def details(self) -> str:
        """The messages of all details of an error, one a line."""
        return "\n".join(detail["message"] for detail in self.error["details"])


class Client:
    """Requests to one gateway on behalf of one resource group. Use it with `async with`."""

    def __init__(self, url: str, resource_group: str = "default", **headers: str) -> None:
        """Take the gateway's URL, and headers that every request gets."""
        self._url = url + "/lm/metrics"
        self.headers = {"AI-Resource-Group": resource_group} | headers
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=("Accept-Encoding",)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def request(self, method: str, **arguments: Any) -> Answer:
        """Send any request; arguments are aiohttp's, `headers` replace the usual ones."""
        assert self._session is not None
        arguments.setdefault("headers", self.headers)
        url = arguments.pop("url", self._url)
        async with self._session.request(method, url, **arguments) as response:
            answer = Answer(response.status, response.headers, await response.read())
        # Whatever a test is about: no answer is other than documented.
        documented().kind(method, response.url.path, answer.status, answer.headers, answer.body)
        return answer

    async def patch(self, body: Any, **headers: str) -> Answer:
        """Send an update: a JSON value, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        every = self.headers | {"Content-Type": "application/json"} | headers
        return await self.request("PATCH", data=data, headers=every)

    async def accepted(self, body: Any) -> None:
        """Send an update that must be accepted."""
        answer = await self.patch(body)
        assert answer.status == 204, answer.body
        assert answer.body == b""

    async def query(self, **parameters: str) -> Answer:
        """Query; `select`, `filter`, `top` and `skip` stand for the names with a dollar."""
        dollars = {"select", "filter", "top", "skip"}
        named = {("$" + name if name in dollars else name): parameters[name] for name in parameters}
        return await self.request("GET", params=named)

    async def resource(self, execution_id: str, **parameters: str) -> dict[str, Any]:
        """Return one resource that must be there."""
        answer = await self.query(executionIds=execution_id, **parameters)
        assert answer.status == 200, answer.body
        assert answer.json["count"] == 1
        resource: dict[str, Any] = answer.json["resources"][0]
        return resource

    async def delete(self, execution_id: str) -> Answer:
        """Delete one resource."""
        return await self.request("DELETE", params={"executionId": execution_id})
