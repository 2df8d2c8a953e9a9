"""Traces, if they are wanted: OpenTelemetry's SDK, set up to send spans to a collector.

Nothing of OpenTelemetry is imported unless TRACES_URL is set; it comes with the extra `tracing`.
Spans hold no names, values or ids that a client made up, but the request's id.
"""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)

_EXPORT_TIMEOUT_S = 5.0
# The last spans may cost the end of a process this much.
_CLOSE_TIMEOUT_S = 2.0


class Tracing:
    """A tracer, and the contexts that it takes from and puts into texts (W3C Trace Context)."""

    def __init__(self, url: str, service: str, sample_percent: int) -> None:
        """Send the spans of a service to `url`, by OTLP over HTTP.

        Of the traces that begin here so many per cent are sampled; one that comes from outside is
        if its sender sampled it.

        Raises:
            OSError: the extra is not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
            from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415
            from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415
        except ImportError as error:
            raise OSError("TRACES_URL: the extra `tracing` is not installed") from error
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(sample_percent / 100),
            resource=Resource.create({"service.name": service}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=url, timeout=_EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._texts = tracecontext.TraceContextTextMapPropagator()
        self.tracer: Tracer = self._provider.get_tracer("metric-ingest")

    def context_of(self, traceparent: str | None) -> "Context":
        """Return the context that a `traceparent` names; an empty one if it names none."""
        carrier = {} if traceparent is None else {"traceparent": traceparent}
        return self._texts.extract(carrier)

    def traceparent(self) -> str | None:
        """Return the `traceparent` of the span that this task is in, if it is sampled."""
        from opentelemetry.trace import get_current_span  # noqa: PLC0415

        if not get_current_span().get_span_context().trace_flags.sampled:
            return None
        carrier: dict[str, Any] = {}
        self._texts.inject(carrier)
        return carrier.get("traceparent")

    async def close(self) -> None:
        """Send what is left, within a limit: a collector that is away must not hold up an end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.to_thread(self._provider.shutdown)


def tracing_from(url: str, service: str, sample_percent: int) -> Tracing | None:
    """Return tracing, None if it is not wanted.

    Raises:
        OSError: it is wanted, but not installed.
    """
    if not url:
        return None
    log.info("tracing", extra={"service": service, "sample_percent": sample_percent})
    return Tracing(url, service, sample_percent)
