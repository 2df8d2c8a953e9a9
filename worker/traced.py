"""The spans of entries that are applied: each in the trace of the request that it came with."""

import time
from collections.abc import Iterable

from opentelemetry.trace import SpanKind

from ingest.contract.message import traceparents
from ingest.runtime.tracing import Tracing


class BatchSpans:
    """Spans of a batch. Imported only when there are traces: the messages are decoded for it."""

    def __init__(self, tracing: Tracing, bodies: Iterable[bytes]) -> None:
        """Begin one for every entry of a sampled trace."""
        started_ns = time.time_ns()
        self._spans = [
            tracing.tracer.start_span(
                "apply metrics.updates",
                context=tracing.context_of(traceparent),
                kind=SpanKind.CONSUMER,
                attributes={
                    "messaging.system": "rabbitmq",
                    "messaging.operation.type": "process",
                    "messaging.message.id": message_id,
                },
                start_time=started_ns,
            )
            for body in bodies
            for message_id, traceparent in traceparents(body)
        ]

    def end(self) -> None:
        """End them: the batch is stored, or what was refused of it is a dead letter, and acked."""
        for span in self._spans:
            span.end()
