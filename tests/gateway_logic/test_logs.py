"""One JSON object a line, whatever is logged."""

import io
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.runtime.logs import MAX_LINES_PER_S, JsonFormatter, LimitedHandler


def record(message: str = "said", *arguments: Any, **extra: Any) -> logging.LogRecord:
    logger = logging.getLogger("a.logger")
    return logger.makeRecord(
        logger.name, logging.WARNING, __file__, 1, message, arguments, None, extra=extra
    )


def formatted(one: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(one)
    assert "\n" not in line
    assert "\r" not in line
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_a_record_is_one_object_with_time_level_logger_message_and_nothing_else() -> None:
    one = record("%s of %d", "two", 3)
    one.created = datetime(2024, 1, 2, 3, 4, 5, 678000, UTC).timestamp()
    assert formatted(one) == {
        "time": "2024-01-02T03:04:05.678+00:00",
        "level": "warning",
        "logger": "a.logger",
        "message": "two of 3",
    }


def test_extra_fields_are_fields_of_the_object() -> None:
    line = formatted(record(requestId="r", status=204, seconds=0.5, nothing=None, list=[1, "a"]))
    assert line["requestId"] == "r"
    assert (line["status"], line["seconds"], line["nothing"]) == (204, 0.5, None)
    assert line["list"] == [1, "a"]


def test_what_json_does_not_know_is_logged_as_text() -> None:
    line = formatted(record(error=ValueError("why"), names={"a"}, path=object, body=b"\xff"))
    assert line["error"] == "why"
    assert line["names"] == "{'a'}"


def test_an_exception_is_logged_with_its_traceback() -> None:
    try:
        raise ValueError("the reason")  # noqa: TRY301 - a traceback is wanted
    except ValueError:
        one = record()
        one.exc_info = sys.exc_info()
    line = formatted(one)
    assert "Traceback" in line["exception"]
    assert line["exception"].endswith("ValueError: the reason")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(max_size=9))
def test_any_text_is_one_line(message: str, argument: str) -> None:
    argument = argument.encode(errors="replace").decode()
    assert formatted(record("%s", message, given=argument))["message"] == message


def test_a_lone_surrogate_does_not_lose_the_line() -> None:
    # aiohttp makes surrogates of what is no UTF-8 in a header.
    assert formatted(record("refused", details=["'\udcff' is no group"]))["message"] == "refused"
    assert formatted(record("refused \udcff"))["level"] == "warning"


SECRETS = [
    "amqp://user:{}@host/",
    "cannot reach 'mongodb://user:a/{}@a,b/?x=y'",
    "https://:{}@host/path",
    "mongodb://h/?tlsCertificateKeyFilePassword={}&tls=true",
    "Authorization: Bearer {}",
    "headers: 'authorization': 'bearer {}'",
]


@pytest.mark.parametrize("text", SECRETS)
@given(st.text('abc"\\%2F.', max_size=9))
def test_what_looks_like_a_password_or_a_token_is_struck_out(text: str, end: str) -> None:
    secret = "hunter2hunter2" + end
    line = JsonFormatter().format(record(text.format(secret), extra=[text.format(secret)]))
    assert "hunter2" not in line
    assert json.loads(line)["message"].startswith(text.partition(":")[0])


def test_a_password_in_a_traceback_is_struck_out() -> None:
    try:
        raise ValueError("no such host: amqp://user:hunter2@host/")  # noqa: TRY301 - as above
    except ValueError:
        one = record()
        one.exc_info = sys.exc_info()
    assert formatted(one)["exception"].endswith("ValueError: no such host: amqp://user:***@host/")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_of_one_message_only_so_many_are_written_a_second_and_the_rest_is_counted() -> None:
    stream, clock = io.StringIO(), Clock()
    handler = LimitedHandler(stream, clock)
    handler.setFormatter(JsonFormatter())

    def lines() -> list[dict[str, Any]]:
        written = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.seek(0)
        stream.truncate()
        return written

    for number in range(MAX_LINES_PER_S + 7):
        handler.handle(record("refused %d", number))
    handler.handle(record("other"))
    assert [one["message"] for one in lines()][MAX_LINES_PER_S - 1 :] == [
        f"refused {MAX_LINES_PER_S - 1}",
        "other",
    ]
    clock.now += 1
    handler.handle(record("refused %d", 0))
    left_out, next_one = lines()
    assert (left_out["message"], left_out["of"], left_out["lines"]) == (
        "left out of the log",
        "refused %d",
        7,
    )
    assert next_one["message"] == "refused 0"
    for _ in range(2 * MAX_LINES_PER_S):
        one = record("answered")
        one.levelno = logging.DEBUG
        handler.handle(one)
    assert len(lines()) == 2 * MAX_LINES_PER_S
