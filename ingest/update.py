"""PATCH: parse an update, publish it, and answer 204 once the broker has confirmed it."""

from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest import telemetry
from ingest.body import BodyReader
from ingest.contract.message import encode_entry, resource_key
from ingest.contract.parse import (
    InvalidUpdateError,
    MalformedBodyError,
    PayloadTooLargeError,
    UpdateParser,
    check_resource_group,
)
from ingest.contract.split import split_resource
from ingest.errors import Error, RequestError
from ingest.publisher import Publisher, PublishError
from ingest.sequence import SequenceSource
from ingest.visibility import Unseen

_CHARSETS = {"utf-8", "utf8", "us-ascii"}
MEDIA_TYPES = ("application/json", "application/merge-patch+json")
RETRY_AFTER_S = 1
# What an entry's envelope adds to the resource, with room to spare.
_ENVELOPE_BYTES = 1024


class UpdateEndpoint:
    """Answer PATCH."""

    def __init__(
        self,
        parser: UpdateParser,
        bodies: BodyReader,
        publisher: Publisher,
        sequences: SequenceSource,
        unseen: Unseen,
        max_message_bytes: int,
    ) -> None:
        self._parser = parser
        self._bodies = bodies
        self._publisher = publisher
        self._sequences = sequences
        self._unseen = unseen
        self._max_message_bytes = max_message_bytes

    async def __call__(self, request: BaseRequest, request_id: str) -> web.StreamResponse:
        """Answer one request."""
        check_media_type(request.headers.get("Content-Type", ""))
        resource_group = request.headers.get("AI-Resource-Group")
        body = await self._bodies.read(request)
        resource = self._parse(resource_group, body)
        sequence = self._sequences.next()
        key = resource_key(str(resource_group), resource["executionId"])
        if len(body) + _ENVELOPE_BYTES <= self._max_message_bytes:
            bodies = [body]
        else:
            bodies = split_resource(resource, sequence, self._max_message_bytes - _ENVELOPE_BYTES)
        entries = [encode_entry(sequence, request_id, str(resource_group), part) for part in bodies]
        # The confirm may take long, and a parsed body many times the memory of its bytes.
        del body, resource, bodies
        for segment in await self._submit(str(resource_group), key, entries):
            self._unseen.add(key, segment, sequence)
        telemetry.UPDATES_ACCEPTED.inc()
        return web.Response(status=204)

    def _parse(self, resource_group: str | None, body: bytes) -> dict[str, Any]:
        """Parse the body; a wrong header is reported together with what is wrong in it."""
        header = check_resource_group(resource_group)
        details = [] if header is None else [str(header)]
        try:
            resource = self._parser.parse(body)
        except MalformedBodyError as error:
            raise RequestError(Error.BODY_MALFORMED, [*details, str(error)]) from error
        except PayloadTooLargeError as error:
            raise RequestError(Error.PAYLOAD_LIMIT, [*details, str(error)]) from error
        except InvalidUpdateError as error:
            details += [str(violation) for violation in error.violations]
            raise RequestError(Error.BODY_INVALID, details) from error
        if details:
            raise RequestError(Error.HEADER_INVALID, details)
        return resource

    async def _submit(self, resource_group: str, key: str, entries: list[bytes]) -> list[bytes]:
        """Make all entries durable; returns the segments they will leave."""
        try:
            return await self._publisher.submit(resource_group, key, entries)
        except PublishError as error:
            raise RequestError(
                Error.BROKER_AWAY, [str(error)], retry_after_s=RETRY_AFTER_S
            ) from error


def check_media_type(content_type: str) -> None:
    """Check a Content-Type.

    Raises:
        RequestError: MEDIA_TYPE.
    """
    if content_type == MEDIA_TYPES[0]:
        return
    media_type, *parameters = content_type.lower().split(";")
    charsets = [one.partition("=")[2].strip(' "') for one in parameters if "charset=" in one]
    if media_type.strip() not in MEDIA_TYPES or not set(charsets) <= _CHARSETS:
        raise RequestError(
            Error.MEDIA_TYPE,
            [f"Content-Type {content_type[:60]!r}: send {' or '.join(MEDIA_TYPES)}, in UTF-8"],
        )
