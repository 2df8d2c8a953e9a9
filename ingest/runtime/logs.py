"""Logs: one JSON object a line on stdout, for machines first."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

# What every LogRecord has; whatever else is on one came in by `extra` and is logged as a field.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Format a record as {"time", "level", "logger", "message", extra fields...}."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except orjson.JSONEncodeError:  # text from outside that is no UTF-8
            return json.dumps(line, default=str)


def start_logging(level: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to stdout, or another stream, as JSON, from `level` up."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # Both AMQP libraries report each lost connection and each retry with a traceback; what
    # matters of that is logged once by broker.py.
    for name in ("aiormq", "aio_pika"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # DEBUG of the driver and of asyncio would drown our own.
    for name in ("pymongo", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))
