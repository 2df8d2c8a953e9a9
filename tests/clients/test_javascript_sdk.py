"""SAP's JavaScript client, unchanged from the npm registry, against a live gateway."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.commands.command import ScriptedServer
from tests.harness.client import EXAMPLE, Client
from tests.harness.node import Node, install
from tests.harness.services import Gateway

# The first test installs the packages.
pytestmark = pytest.mark.timeout(400)

# What the client's functions say they return.
FOUND, DELETED, FAILED = "TrckGetMetricResourceList", "TrckDeleteMetricsResponse", "TrckApiError"
RICH: dict[str, Any] = EXAMPLE | {
    "metrics": [
        *EXAMPLE["metrics"],
        {"name": "loss", "value": 1e-300, "step": 2**53 - 1, "timestamp": "2026-01-01T00:00:00Z"},
        {"name": "no step", "value": -7, "labels": [], "timestamp": "2026-01-01T01:00:00+01:00"},
        {"name": "nothing but a value", "value": 0},
    ]
}

Call = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def node() -> Node:
    """Node.js with the client's packages."""
    return install()


@pytest.fixture
def group() -> str:
    return f"js-{uuid4().hex}"


@pytest.fixture
def call(gateway: Gateway, node: Node, group: str, tmp_path: Path) -> Call:
    """Make calls in one run of Node.js, each as (operation, its first parameter)."""

    def make(*calls: tuple[str, Any], url: str = gateway.url) -> list[dict[str, Any]]:
        header = {"AI-Resource-Group": group}
        given = [{"operation": name, "parameters": [first, header]} for name, first in calls]
        results = tmp_path / "results.json"
        # The rest of its path is the client's own, or the destination has all of it.
        node.run("calls.mjs", {"destination": {"url": url}, "calls": given}, str(results))
        answers: list[dict[str, Any]] = json.loads(results.read_text())
        return answers

    return make


def patch(execution_id: str, **more: Any) -> tuple[str, Any]:
    return "metricsPatch", {"executionId": execution_id, **more}


def find(*execution_ids: str, **parameters: Any) -> tuple[str, Any]:
    ids = {"executionIds": list(execution_ids)} if execution_ids else {}
    names = {"filter": "$filter", "select": "$select", "top": "$top", "skip": "$skip"}
    return "metricsFind", ids | {names.get(name, name): parameters[name] for name in parameters}


def delete(execution_id: str) -> tuple[str, Any]:
    return "metricsDelete", {"executionId": execution_id}


def in_url(text: str) -> str:
    """Encode what a URL cannot hold: the client sends query parameters as they are."""
    return quote(text, safe="=!,'()")


def ids(answer: dict[str, Any]) -> list[str]:
    """Return the executions that a find has found."""
    return [one["executionId"] for one in answer["value"]["resources"]]


async def test_what_is_patched_is_found_as_the_gateway_sends_it(
    gateway: Gateway, call: Call, group: str
) -> None:
    patched, found = call(("metricsPatch", RICH), find(RICH["executionId"]))
    assert patched == {"value": ""}
    async with Client(gateway.url, resource_group=group) as client:
        assert found["value"] == (await client.query(executionIds=RICH["executionId"])).json
    (resource,) = found["value"]["resources"]
    assert {one["name"] for one in resource["metrics"]} == {one["name"] for one in RICH["metrics"]}
    assert EXAMPLE["metrics"][0] in resource["metrics"]
    assert [resource[name] for name in ("tags", "customInfo")] == [
        EXAMPLE[name] for name in ("tags", "customInfo")
    ]


def test_every_parameter_of_find_does_what_it_says(call: Call) -> None:
    tag = {"name": "Artifact Group", "value": "RFC-1, the first"}
    runs = [
        patch(f"run-{n}", tags=[tag, {"name": "n", "value": str(n)}], metrics=[
            {"name": "loss", "value": n},
        ])
        for n in range(5)
    ]  # fmt: skip
    in_filter = "Artifact Group=RFC-1%2C the first"
    encoded = in_url(in_filter)
    queries = [
        find("run-3", "run-1"),
        find(filter=in_url("executionId eq 'run-2'")),
        find(filter=in_url("executionId in ('run-2', 'run-4')")),
        find(tagFilters=encoded),
        find(tagFilters=f"{encoded},n!=3,n"),
        find(tagFilters="n", top=2),
        find(tagFilters="n", top=2, skip=3),
        find("run-1", "run-2", tagFilters="n=2"),
        find("run-1", select=["tags"]),
        find("run-1", select=["metrics", "customInfo"]),
        find("run-1", select=["*"]),
    ]
    answers = call(*runs, *queries)[len(runs) :]
    assert [ids(answer) for answer in answers] == [
        ["run-1", "run-3"],
        ["run-2"],
        ["run-2", "run-4"],
        ["run-0", "run-1", "run-2", "run-3", "run-4"],
        ["run-0", "run-1", "run-2", "run-4"],
        ["run-0", "run-1"],
        ["run-3", "run-4"],
        ["run-2"],
        ["run-1"],
        ["run-1"],
        ["run-1"],
    ]
    sections = [
        sorted(answer["value"]["resources"][0].keys() & {"metrics", "tags", "customInfo"})
        for answer in answers[-3:]
    ]
    assert sections == [["tags"], ["customInfo", "metrics"], ["customInfo", "metrics", "tags"]]


def test_what_is_deleted_is_gone_and_can_begin_anew(call: Call) -> None:
    tags = [{"name": "a", "value": "b"}]
    _, deleted, not_found, again, _, found = call(
        patch("run-1", metrics=[{"name": "loss", "value": 1}]),
        delete("run-1"), find("run-1"), delete("run-1"), patch("run-1", tags=tags), find("run-1"),
    )  # fmt: skip
    assert deleted["value"]["id"] == "run-1"
    for gone in (not_found, again):
        assert (gone["status"], gone["error"]["error"]["code"]) == (404, "02010055")
    (resource,) = found["value"]["resources"]
    assert (resource["metrics"], resource["tags"]) == ([], tags)


def test_a_refusal_reaches_the_caller_with_every_detail(call: Call) -> None:
    (refused,) = call(patch("run-1", metrics=[{"name": "a", "value": "high"}, {"value": 1}]))
    assert refused["status"] == 400
    error = refused["error"]["error"]
    assert error["code"] == "02011002"
    assert [detail["message"].partition(":")[0] for detail in error["details"]] == [
        "/metrics/0/value",
        "/metrics/1",
    ]


def test_the_destination_may_be_the_gateway_s_own_address(gateway: Gateway, call: Call) -> None:
    root = gateway.url.removesuffix("/v2")
    assert call(patch("run-1"), find("run-1"), url=root)[1]["value"]["count"] == 1


def test_it_sends_what_it_is_known_to_send(call: Call, group: str) -> None:
    with ScriptedServer() as server:
        call(patch("run-1"), find("run-1", "run-2", select=["tags", "*"]), url=server.url)
        patched, found = server.requests
    assert patched.path == "/v2/lm/metrics"
    headers = {name.lower(): value for name, value in patched.headers.items()}
    assert headers["content-type"] == "application/merge-patch+json"
    assert headers["ai-resource-group"] == group
    assert json.loads(patched.body) == {"executionId": "run-1"}
    assert found.path.startswith("/v2/lm/metrics?")


# --- types --------------------------------------------------------------------------------------


def answers_as_typescript(answers: list[tuple[str, Any]]) -> str:
    """Make a program that holds each answer against one of the client's types."""
    lines = [
        (
            f"import type {{ {', '.join(sorted({kind for kind, _ in answers}))} }} "
            "from '@sap-ai-sdk/ai-api';"
        ),
        "import type { Strict } from './strict.js';",
    ]
    lines += [
        f"export const answer{number}: Strict<{kind}> = {json.dumps(value)};"
        for number, (kind, value) in enumerate(answers)
    ]
    return "\n".join(lines) + "\n"


def complaints(node: Node, answers: list[tuple[str, Any]]) -> list[str]:
    """Return the first words of what the TypeScript compiler says of answers."""
    (node.folder / "answers.ts").write_text(answers_as_typescript(answers))
    done = node.start("node_modules/typescript/bin/tsc", "--pretty", "false")
    assert (done.returncode == 0) is (done.stdout == ""), done.stderr
    return done.stdout.splitlines()


def test_every_answer_is_of_the_type_that_the_client_returns(node: Node, call: Call) -> None:
    results = call(
        ("metricsPatch", RICH),
        patch("run-1"),
        find(RICH["executionId"], "run-1"),
        find(RICH["executionId"], select=["tags"]),
        find(tagFilters=in_url("Artifact Group"), top=1),
        delete("run-1"),
        find("run-1"),
        find("x"),
        patch("x", tags=[{}]),
    )
    found, deleted, failed = results[2:5], results[5:6], results[6:]
    answers = [(FOUND, one["value"]) for one in found]
    answers += [(DELETED, one["value"]) for one in deleted]
    answers += [(FAILED, one["error"]["error"]) for one in failed]
    assert len(answers) == 7
    assert complaints(node, answers) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FOUND, {"count": 0}),
        (FOUND, {"count": "0", "resources": []}),
        (FOUND, {"count": 0, "resources": [], "more": 1}),
        (FOUND, {"count": 1, "resources": [{"executionId": 7}]}),
        (FOUND, {"resources": [{"executionId": "a", "metrics": [{"name": "a", "value": 1}]}]}),
        (FOUND, {"resources": [{"executionId": "a", "tags": [{"name": "a", "value": None}]}]}),
        (DELETED, {"id": 7}),
        (FAILED, {"code": "02011002"}),
    ],
)
def test_a_wrong_answer_would_not_be(node: Node, kind: str, value: Any) -> None:
    assert any("error TS" in line for line in complaints(node, [(kind, value)]))
