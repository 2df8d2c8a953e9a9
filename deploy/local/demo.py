"""`make demo`: send the documentation's example and a training run, then read both back."""

import json
import os
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.local import example
from deploy.local.client import Client, ClientError
from deploy.local.process import wait_for
from deploy.local.training import sparkline, updates
from ingest.openapi.example import EXECUTION_ID

_DEFAULT_URL = "http://127.0.0.1:8080"
_STEPS = 3000
_CONNECTIONS = 8
_STORED_DEADLINE_S = 60.0
_PLAIN_LINES = 5

Point = tuple[str, int]  # a metric's name and its step


class DemoError(Exception):
    """The demo can't go on or did not find what it sent; the message is for the person."""


def demo() -> int:
    """Run the demo against INGEST_URL, 0 if everything that was accepted is there."""
    url = (os.environ.get("INGEST_URL") or _DEFAULT_URL).rstrip("/")
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # TextIOWrapper
    # In a pipe, a line is as long as it is.
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    try:
        with closing(Client(url)) as client:
            client.require_answer()
            _show_example(client, console)
            execution_id = f"demo-{uuid.uuid4().hex[:12]}"
            accepted = _send_training_run(url, execution_id, console)
            stored = _read_back(client, execution_id, accepted, console)
    except ClientError as error:
        raise DemoError(str(error)) from error
    _show_training_run(execution_id, stored, console)
    if stored != accepted:
        wrong = {point for point in accepted if stored.get(point) != accepted[point]}
        raise DemoError(
            f"{len(wrong):,} of {len(accepted):,} accepted points are missing or differ, "
            f"{len(stored.keys() - accepted.keys()):,} were never sent"
        )
    console.print(f"All {len(accepted):,} accepted points are stored, each once.")
    return 0


def _show_example(client: Client, console: Console) -> None:
    _patch(client, example.BODY.encode())
    resource = _get(client, EXECUTION_ID)
    console.print("The documentation's example, stored and read back:", style="bold")
    console.print_json(json.dumps(resource))


def _send_training_run(url: str, execution_id: str, console: Console) -> dict[Point, float]:
    """Send every step of a training run; return the points that were accepted."""
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    for update in updates(execution_id, _STEPS):
        waiting.put(update)
    accepted: dict[Point, float] = {}
    cancelled = threading.Event()

    def send(advance: Callable[[], None]) -> None:
        with closing(Client(url)) as client:
            while not cancelled.is_set():
                try:
                    update = waiting.get_nowait()
                except queue.Empty:
                    return
                _patch(client, json.dumps(update).encode())
                accepted.update(_points(update["metrics"]))
                advance()

    console.print(f"\nA simulated training run, {execution_id}:", style="bold")
    began = time.monotonic()
    with _progress(console) as advance, ThreadPoolExecutor(_CONNECTIONS) as senders:
        try:
            for sending in [senders.submit(send, advance) for _ in range(_CONNECTIONS)]:
                sending.result()
        finally:
            cancelled.set()
    rate = _STEPS / (time.monotonic() - began)
    console.print(
        f"{_STEPS:,} updates accepted over {_CONNECTIONS} connections, {rate:,.0f} a second"
    )
    return accepted


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[], None]]:
    """Yield what to call for each update: it moves a bar in a terminal, prints lines elsewhere."""
    if console.is_terminal:
        columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("", total=_STEPS)
            yield lambda: progress.advance(task)
        return
    lock = threading.Lock()
    sent = 0

    def advance() -> None:
        nonlocal sent
        with lock:
            sent += 1
            if sent % (_STEPS // _PLAIN_LINES) == 0:
                console.print(f"sent {sent:,} of {_STEPS:,} updates")

    yield advance


def _read_back(
    client: Client, execution_id: str, accepted: dict[Point, float], console: Console
) -> dict[Point, float]:
    """Read the run until it is complete, or the deadline; return the points that are stored."""
    stored: dict[Point, float] = {}

    def is_complete() -> bool:
        nonlocal stored
        metrics = _get(client, execution_id)["metrics"]
        stored = dict(_points(metrics))
        if len(stored) != len(metrics):
            raise DemoError(f"{len(metrics) - len(stored):,} points are there more than once")
        return len(stored) >= len(accepted)

    if not is_complete():
        console.print("waiting for the worker to store the rest ...")
        wait_for(is_complete, _STORED_DEADLINE_S)
    return stored


def _show_training_run(execution_id: str, stored: dict[Point, float], console: Console) -> None:
    # A pipe gets plain columns.
    lines = box.HEAVY_HEAD if console.is_terminal else None
    console.print(f"\n{execution_id}, as stored:", style="bold")
    table = Table("metric", box=lines, pad_edge=lines is not None)
    for column in ("points", "first", "last"):
        table.add_column(column, justify="right")
    table.add_column("course")
    for metric in sorted({name for name, _ in stored}):
        values = [stored[point] for point in sorted(stored) if point[0] == metric]
        table.add_row(
            metric, f"{len(values):,}", f"{values[0]:g}", f"{values[-1]:g}", sparkline(values)
        )
    console.print(table)


def _points(metrics: list[dict[str, Any]]) -> Iterator[tuple[Point, float]]:
    return (((metric["name"], metric["step"]), metric["value"]) for metric in metrics)


def _patch(client: Client, body: bytes) -> None:
    status, answer = client.send("PATCH", example.PATH, body)
    if status != HTTPStatus.NO_CONTENT:
        raise DemoError(f"the gateway refused an update with status {status}: {answer}")


def _get(client: Client, execution_id: str) -> dict[str, Any]:
    status, answer = client.send("GET", f"{example.PATH}?executionIds={execution_id}")
    if status != HTTPStatus.OK:
        raise DemoError(f"the gateway answered a query with status {status}: {answer}")
    resource: dict[str, Any] = answer["resources"][0]
    return resource
