"""Traces go from a request through its message to the write, and cost nothing when they are off."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from deploy.local.process import wait_for
from ingest.contract.message import (
    add_traceparent,
    decode_entry,
    decode_message,
    encode_entry,
    encode_message,
    traceparents,
)
from tests.harness.client import Client
from tests.harness.services import ROOT, Gateway, Site, Worker, start_all
from tests.tracing.collector import Collector

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
DEADLINE_S = 30.0
UPDATE = {"executionId": "traced-run", "metrics": [{"name": "loss", "value": 1, "step": 1}]}


@dataclass(frozen=True, slots=True)
class Traced:
    gateway: Gateway
    worker: Worker
    collector: Collector


@pytest.fixture
def start(site: Site) -> Iterator[Callable[..., Traced]]:
    with Collector() as collector:

        def traced(**settings: str) -> Traced:
            url = {"TRACES_URL": collector.url}
            return Traced(site.gateway(**url, **settings), site.worker(**url), collector)

        yield traced
        site.close()


async def end(traced: Traced) -> None:
    """Drain both, which sends their last spans."""
    for process in (traced.gateway, traced.worker):
        process.terminate()
        assert await asyncio.to_thread(process.await_end) == 0


async def test_a_clients_trace_goes_on_to_the_write(start: Callable[..., Traced]) -> None:
    traced = start(INGEST_TRACES_PERCENT="0")
    await start_all(traced.gateway, traced.worker)
    headers = {"traceparent": SAMPLED, "X-Request-ID": "my-request"}
    async with Client(traced.gateway.url, **headers) as client:
        await client.accepted(UPDATE)
        await client.resource("traced-run")
    await end(traced)
    spans = traced.collector.of(TRACE)
    assert spans["ingest"].name == "PATCH /v2/lm/metrics"
    assert spans["ingest"].parent_id == PARENT
    assert spans["ingest"].attributes["http.response.status_code"] == 204
    assert spans["ingest"].attributes["request.id"] == "my-request"
    assert spans["worker"].name == "apply metrics.updates"
    assert spans["worker"].parent_id == spans["ingest"].span_id
    # Nothing that is the client's.
    assert "traced-run" not in repr(traced.collector.spans)


async def test_what_is_not_sampled_leaves_no_spans(start: Callable[..., Traced]) -> None:
    traced = start(INGEST_TRACES_PERCENT="100")
    await start_all(traced.gateway, traced.worker)
    async with Client(traced.gateway.url, traceparent=NOT_SAMPLED) as client:
        await client.accepted(UPDATE)
    async with Client(traced.gateway.url) as client:  # and one whose sender says nothing
        await client.accepted(UPDATE)
        await client.resource("traced-run")
    await end(traced)
    assert traced.collector.of(TRACE) == {}
    assert sorted(span.service for span in traced.collector.spans) == ["ingest", "worker"]


async def test_a_refusal_is_a_failure_only_if_it_is_ours(start: Callable[..., Traced]) -> None:
    traced = start(INGEST_TRACES_PERCENT="100")
    await start_all(traced.gateway)
    async with Client(traced.gateway.url) as client:
        assert (await client.patch({"executionId": "x"})).status == 400
    traced.gateway.terminate()
    assert await asyncio.to_thread(traced.gateway.await_end) == 0
    (span,) = traced.collector.spans
    assert span.attributes["http.response.status_code"] == 400
    assert span.attributes["error.type"] == "02011002"
    assert not span.failed


async def test_a_collector_that_is_away_is_nobodys_problem(site: Site) -> None:
    with Collector() as gone:
        url = gone.url
    gateway, worker = site.gateway(TRACES_URL=url, INGEST_TRACES_PERCENT="100"), site.worker()
    await start_all(gateway, worker)
    async with Client(gateway.url) as client:
        await client.accepted(UPDATE)
        # A worker without traces reads the messages of a gateway with them.
        assert (await client.resource("traced-run"))["metrics"][0]["value"] == 1
    gateway.terminate()
    assert await asyncio.to_thread(gateway.await_end) == 0


def test_nothing_is_imported_when_traces_are_off() -> None:
    program = (
        "import sys, ingest.server, worker.server, worker.command_line, ingest.__main__;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(found.stdout) == []


def test_without_the_extra_the_process_says_so(site: Site) -> None:
    gateway = site.gateway(TRACES_URL="http://127.0.0.1:9/v1/traces")
    # As if it were not there: a module of that name that cannot be imported from.
    hidden = gateway.process.log.parent / "hidden"
    (hidden / "opentelemetry").mkdir(parents=True)
    (hidden / "opentelemetry" / "__init__.py").write_text("raise ImportError('hidden')\n")
    gateway.python_path = f"{hidden}:{ROOT}"
    gateway.launch()
    assert wait_for(lambda: not gateway.process.is_alive(), DEADLINE_S)
    assert gateway.process.exit_code == 1
    assert "the extra `tracing` is not installed" in gateway.process.log.read_text()


def test_a_traceparent_changes_nothing_else_of_an_entry() -> None:
    entry = encode_entry(7, "request", "default", b'{"executionId":"some-run"}')
    bare = encode_message(bytes(12), [entry])
    traced = encode_message(bytes(12), [add_traceparent(entry, SAMPLED), entry])
    first, second = map(decode_entry, decode_message(traced).entries)
    assert first == second == decode_entry(decode_message(bare).entries[0])
    assert traceparents(traced) == [("00" * 12, SAMPLED)]
    assert traceparents(bare) == []


@pytest.mark.parametrize("body", [b"", b"{}", b'{"version":1,"id":"x","entries":[]}'])
def test_nonsense_has_no_traces(body: bytes) -> None:
    assert traceparents(body) == []
    nonsense = b"[1,null,{}]"
    message = encode_message(bytes(12), [nonsense, b'{"traceparent":1}'])
    assert traceparents(message) == []
