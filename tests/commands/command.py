"""Run `send` and `query`, against a gateway or against a server that answers as it is told."""

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from deploy.local.ports import LOOPBACK
from tests.harness.commands import Command

GROUP = "commands"
JSON = {"Content-Type": "application/json"}


def send(url: str, **variables: str) -> Command:
    """Make the command `send`, to a gateway at a URL."""
    return _command("send", url, variables)


def query(url: str, **variables: str) -> Command:
    """Make the command `query`, to a gateway at a URL."""
    return _command("query", url, variables)


def _command(name: str, url: str, variables: dict[str, str]) -> Command:
    usual = {"INGEST_URL": url, "INGEST_RESOURCE_GROUP": GROUP}
    return Command(("ingest", name), usual | variables)


def lines(*updates: Any) -> bytes:
    """Make JSON lines."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in updates)


def point(execution_id: str, step: int, value: float = 0.5, **more: Any) -> dict[str, Any]:
    """Make an update of one point."""
    return {
        "executionId": execution_id,
        "metrics": [{"name": "loss", "step": step, "value": value, **more}],
    }


@dataclass(frozen=True, slots=True)
class Scripted:
    """An answer that the server is told to give; status 0 breaks the connection instead."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    # Bytes that the answer announces and does not have.
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What the server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class ScriptedServer:
    """A server that gives some answers in turn, then 204 or an empty find. Use it with `with`."""

    def __init__(self, answers: Iterable[Scripted] = ()) -> None:
        self.requests: list[Request] = []
        self._answers = iter(answers)
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its address."""
        assert self._server is not None
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        scripted = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PATCH(self) -> None:
                self._answer(Scripted(204))

            def do_GET(self) -> None:
                self._answer(Scripted(200, JSON, b'{"count":0,"resources":[]}'))

            def _answer(self, otherwise: Scripted) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, dict(self.headers), body)
                with scripted._lock:
                    scripted.requests.append(request)
                    answer = next(scripted._answers, otherwise)
                if not answer.status:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(answer.body) + answer.missing))
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = answer.missing > 0

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Answer)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
