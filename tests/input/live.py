"""A blocking client for generated requests: one connection kept, every answer within a deadline."""

import http.client
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from multidict import CIMultiDict, CIMultiDictProxy

from deploy.local.ports import LOOPBACK
from tests.harness.client import Answer
from tests.harness.services import Gateway

PATH = "/v2/lm/metrics"
# Generous: a busy machine is no hang.
ANSWER_TIMEOUT_S = 30.0


class LiveClient:
    """Requests to one gateway for one resource group."""

    def __init__(self, gateway: Gateway, resource_group: str) -> None:
        self._connection = http.client.HTTPConnection(
            LOOPBACK, gateway.port, timeout=ANSWER_TIMEOUT_S
        )
        self._group = resource_group

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def patch(self, body: bytes | Iterable[bytes], **headers: str) -> Answer:
        """Send an update; what is no bytes is sent in chunks."""
        usual = {"AI-Resource-Group": self._group, "Content-Type": "application/json"}
        return self._request("PATCH", PATH, body, usual | headers)

    def resource(self, execution_id: str) -> dict[str, Any]:
        """Return a resource that must be there."""
        answer = self._request(
            "GET",
            f"{PATH}?executionIds={quote(execution_id)}",
            b"",
            {"AI-Resource-Group": self._group},
        )
        assert answer.status == 200, answer.body
        (resource,) = answer.json["resources"]
        assert isinstance(resource, dict)
        return resource

    def _request(
        self, method: str, path: str, body: bytes | Iterable[bytes], headers: dict[str, str]
    ) -> Answer:
        connection = self._connection
        try:
            connection.request(
                method, path, body, headers, encode_chunked=not isinstance(body, bytes)
            )
            response = connection.getresponse()
            content = response.read()
        except OSError:
            connection.close()
            raise
        received = CIMultiDict(response.getheaders())
        return Answer(response.status, CIMultiDictProxy(received), content)
