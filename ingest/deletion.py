"""DELETE: hide everything that a resource got before the request."""

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest.contract.message import resource_key
from ingest.errors import Error, RequestError
from ingest.query import required_resource_group
from ingest.query_parameters import parse_execution_id
from ingest.read import Reader
from ingest.responses import json_response
from ingest.sequence import SequenceSource
from ingest.store import Store
from ingest.visibility import Unseen


class DeletionEndpoint:
    """Answer DELETE."""

    def __init__(
        self, store: Store, reader: Reader, sequences: SequenceSource, unseen: Unseen
    ) -> None:
        self._store = store
        self._reader = reader
        self._sequences = sequences
        self._unseen = unseen

    async def __call__(self, request: BaseRequest, _request_id: str) -> web.StreamResponse:
        """Answer one request."""
        resource_group = required_resource_group(request)
        execution_id = parse_execution_id(request.query)
        key = resource_key(resource_group, execution_id)
        # On receipt: what this gateway accepts from now on comes after the deletion.
        sequence = self._sequences.next()
        async with self._reader.of_resources([key]):
            expected = bool(self._unseen.of([key]))
        if not await self._store.delete(key, sequence, expected=expected):
            raise RequestError(Error.NOT_FOUND)
        return json_response({"id": execution_id, "message": "Metrics were deleted."})
