"""Logs: one JSON object a line on stdout, for machines first."""

import json
import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

# What every LogRecord has; whatever else is on one came in by `extra` and is logged as a field.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# Nothing here logs a password or a token. But libraries put into their errors what they like, so
# what looks like one is struck out of every line: the password of a URL, whether or not it was
# percent-encoded, one among its options, and a bearer token. In JSON, a backslash and what it
# escapes belong together.
_SECRETS = re.compile(
    r"(?P<url>://(?:[^\s/:@\"\\]|\\[^n]){0,100})"
    r":(?:[^\s@\"\\]|\\[^n]){1,500}@"
    r"|(?P<option>password)=(?:[^\s&;\"\\]|\\[^n])+"
    r"|(?P<bearer>bearer) +[\w.~+/=-]{8,}",
    re.IGNORECASE,
)

# More of one message a second tell nothing new: whoever sends nonsense must not fill the disk.
MAX_LINES_PER_S = 50


def _strike_out(match: re.Match[str]) -> str:
    if match["url"]:
        return f"{match['url']}:***@"
    return f"{match['option']}=***" if match["option"] else f"{match['bearer']} ***"


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
            text = orjson.dumps(line, default=str).decode()
        except orjson.JSONEncodeError:  # text from outside that is no UTF-8
            text = json.dumps(line, default=str)
        return _SECRETS.sub(_strike_out, text)


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Write records, but of one message only so many a second; then say how many were left out.

    Messages are the same if their text is before its arguments are put in. What is logged at debug
    is never left out. The count is written with the first record of any kind after that second.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._second = 0
        self._lines: Counter[tuple[str, str]] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless too many like it were written in this second."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._report()
        if record.levelno > logging.DEBUG:
            key = (record.name, str(record.msg))
            self._lines[key] += 1
            if self._lines[key] > MAX_LINES_PER_S:
                return
        super().emit(record)

    def _report(self) -> None:
        for (name, message), count in self._lines.items():
            if count > MAX_LINES_PER_S:
                fields = {"of": message, "lines": count - MAX_LINES_PER_S}
                super().emit(
                    logging.getLogger(name).makeRecord(
                        name, logging.WARNING, "", 0, "left out of the log", (), None, extra=fields
                    )
                )
        self._lines.clear()


def start_logging(level: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to stdout, or another stream, as JSON, from `level` up."""
    handler = LimitedHandler(stream or sys.stdout)
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
