"""DELETE: hide everything that a resource got before the request."""

import asyncio
import logging

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest.contract.message import resource_key
from ingest.errors import Error, RequestError
from ingest.query import required_resource_group
from ingest.query_parameters import parse_execution_id
from ingest.read import Reader
from ingest.responses import json_response
from ingest.runtime.database import DATABASE_ERRORS
from ingest.sequence import SequenceSource
from ingest.store import Store
from ingest.visibility import Unseen

log = logging.getLogger(__name__)


class DeletionEndpoint:
    """Answer DELETE."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        sequences: SequenceSource,
        unseen: Unseen,
        timeout_s: float,
    ) -> None:
        self._store = store
        self._reader = reader
        self._sequences = sequences
        self._unseen = unseen
        self._timeout_s = timeout_s

    async def __call__(self, request: BaseRequest, request_id: str) -> web.StreamResponse:
        """Answer one request."""
        resource_group = required_resource_group(request)
        execution_id = parse_execution_id(request.query)
        key = resource_key(resource_group, execution_id)
        # On receipt: what this gateway accepts from now on comes after the deletion.
        sequence = self._sequences.next()
        # Wait for what was accepted before. What is not applied by then is still on the queue: it
        # is there to be deleted, so that is no 404.
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._reader.of_resources(resource_group, [key]):
                    expected = bool(self._unseen.of([key]))
                existed = await self._store.delete(key, sequence)
        except TimeoutError as error:
            raise RequestError(Error.DATABASE_AWAY, retry_after_s=1) from error
        if not existed and not expected:
            raise RequestError(Error.NOT_FOUND)
        try:
            await self._store.purge(key, sequence)
        except DATABASE_ERRORS as error:  # it is deleted all the same
            log.warning("not purged", extra={"requestId": request_id, "reason": str(error)[:300]})
        answer: dict[str, object] = {"id": execution_id, "message": "Metrics were deleted."}
        return json_response(answer, request, request_id)
