"""GET /openapi.json: the same bytes for everyone, without a token."""

import orjson
from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest.openapi.document import Document
from ingest.responses import json_response


class DocumentEndpoint:
    """Answer GET with a document."""

    def __init__(self, document: Document) -> None:
        self._encoded = orjson.dumps(document)

    async def __call__(self, request: BaseRequest, request_id: str) -> web.StreamResponse:
        """Answer one request."""
        return json_response(self._encoded, request, request_id)
