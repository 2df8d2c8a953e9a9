"""The span of an update: from its request to the broker's confirm."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_request import BaseRequest
from opentelemetry.trace import SpanKind, Status, StatusCode

from ingest.dispatch import METRICS_PATH
from ingest.errors import RequestError
from ingest.runtime.tracing import Tracing

Endpoint = Callable[[BaseRequest, str], Awaitable[web.StreamResponse]]
_SERVER_ERROR = 500


class TracedEndpoint:
    """An endpoint, and a span around each of its answers. Imported only when there are traces."""

    def __init__(self, endpoint: Endpoint, tracing: Tracing) -> None:
        self._endpoint = endpoint
        self._tracing = tracing

    async def __call__(self, request: BaseRequest, request_id: str) -> web.StreamResponse:
        """Answer one request."""
        with self._tracing.tracer.start_as_current_span(
            f"{request.method} {METRICS_PATH}",
            context=self._tracing.context_of(request.headers.get("traceparent")),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": request.method,
                "http.route": METRICS_PATH,
                "request.id": request_id,
            },
            # Its message may show what a client sent.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                response = await self._endpoint(request, request_id)
            except Exception as error:
                status = _SERVER_ERROR
                if isinstance(error, RequestError):
                    status = error.failure.status
                    span.set_attribute("error.type", error.failure.code)
                span.set_attribute("http.response.status_code", status)
                if status >= _SERVER_ERROR:
                    span.set_status(Status(StatusCode.ERROR))
                raise
            span.set_attribute("http.response.status_code", response.status)
            return response
