"""PATCH: parse an update, publish it, and answer 204 once the broker has confirmed it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.web_request import BaseRequest

from ingest.body import BodyReader, is_small
from ingest.budget import Hold
from ingest.contract.message import add_traceparent, encode_entry, resource_key
from ingest.contract.parse import (
    InvalidUpdateError,
    MalformedBodyError,
    PayloadTooLargeError,
    UpdateParser,
    check_resource_group,
)
from ingest.contract.split import split_resource
from ingest.contract.violations import shown
from ingest.errors import Error, RequestError
from ingest.publisher import Publisher, PublishError
from ingest.responses import NoContent
from ingest.sequence import SequenceSource

_CHARSETS = {"utf-8", "utf8", "us-ascii"}
MEDIA_TYPES = ("application/json", "application/merge-patch+json")
RETRY_AFTER_S = 1
# What an entry's envelope adds to the resource, with room to spare.
_ENVELOPE_BYTES = 1024


class _Update(NamedTuple):
    """An update that is ready to be published."""

    key: str
    sequence: int
    entries: list[bytes]


class UpdateEndpoint:
    """Answer PATCH."""

    def __init__(
        self,
        parser: UpdateParser,
        bodies: BodyReader,
        publisher: Publisher,
        sequences: SequenceSource,
        max_message_bytes: int,
        traceparent: Callable[[], str | None] | None = None,
    ) -> None:
        """Make the endpoint; with traces, `traceparent` tells where the request's goes on."""
        self._parser = parser
        self._bodies = bodies
        self._publisher = publisher
        self._sequences = sequences
        self._max_message_bytes = max_message_bytes
        self._traceparent = traceparent

    async def __call__(self, request: BaseRequest, request_id: str) -> web.StreamResponse:
        """Answer one request."""
        check_media_type(request.headers.get("Content-Type", ""))
        header = request.headers.get("AI-Resource-Group")
        violation = check_resource_group(header)
        group = "" if header is None or violation is not None else header
        problems = [] if violation is None else [str(violation)]
        with Hold(self._publisher.pending, group) as pending:
            body = self._bodies.at_hand(request)
            if body is not None:
                update = self._take(request_id, group, problems, body, pending)
            else:
                if violation is not None and not is_small(request):
                    # It has no group to be charged to.
                    raise RequestError(Error.HEADER_INVALID, problems)
                async with self._bodies.received(request, group) as body:
                    update = self._take(request_id, group, problems, body, pending)
            # The confirm may take long, and a parsed body many times the memory of its bytes.
            del body
            try:
                await self._publisher.submit(update.key, update.sequence, update.entries)
            except PublishError as error:
                raise RequestError(
                    Error.BROKER_AWAY, [str(error)], retry_after_s=RETRY_AFTER_S
                ) from error
        return NoContent(request_id)

    def _take(
        self, request_id: str, group: str, problems: list[str], body: bytes, pending: Hold
    ) -> _Update:
        """Parse and encode an update. Its bytes are pending before: parsing costs the most."""
        pending.count(len(body))
        resource = self._parse(body, problems)
        sequence = self._sequences.next()
        max_bytes = self._max_message_bytes - _ENVELOPE_BYTES
        fits = len(body) <= max_bytes
        parts = [body] if fits else split_resource(resource, sequence, max_bytes)
        entries = [encode_entry(sequence, request_id, group, part) for part in parts]
        if self._traceparent is not None and (traceparent := self._traceparent()) is not None:
            entries = [add_traceparent(entry, traceparent) for entry in entries]
        return _Update(resource_key(group, resource["executionId"]), sequence, entries)

    def _parse(self, body: bytes, details: list[str]) -> dict[str, Any]:
        """Parse the body; `details` are what else is wrong, to be reported together with it."""
        try:
            resource = self._parser.parse(body)
        except MalformedBodyError as error:
            raise RequestError(Error.BODY_MALFORMED, [*details, str(error)]) from error
        except PayloadTooLargeError as error:
            raise RequestError(Error.PAYLOAD_LIMIT, [*details, str(error)]) from error
        except InvalidUpdateError as error:
            details += [str(violation) for violation in error.violations]
            logged = [f"{one.pointer} {one.rule}" for one in error.violations[:3]]
            raise RequestError(Error.BODY_INVALID, details, logged=logged) from error
        if details:
            raise RequestError(Error.HEADER_INVALID, details)
        return resource


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
        given = f"is {shown(content_type)}" if content_type else "is missing"
        detail = f"(header Content-Type): {given}; send {' or '.join(MEDIA_TYPES)}, in UTF-8"
        raise RequestError(Error.MEDIA_TYPE, [detail])
