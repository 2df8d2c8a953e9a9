"""/docs in a real browser: it shows the API, "try it" works, and nothing is from elsewhere."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.local.install import require_browser
from tests.auth.issuer import Issuer
from tests.harness.client import EXAMPLE, Client
from tests.harness.node import Node, install
from tests.harness.services import Gateway

pytestmark = pytest.mark.timeout(400)

ASSETS = ("start.js", "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")


@pytest.fixture(scope="module")
def node() -> Node:
    return install()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def guarded(
    gateway: Gateway, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that wants tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    guarded = Gateway(folder, gateway.environment | issuer.settings)
    guarded.start()
    yield guarded
    guarded.stop()


def root(gateway: Gateway) -> str:
    return gateway.url.removesuffix("/v2")


def used(node: Node, gateway: Gateway, token: str | None = None) -> dict[str, Any]:
    """Use the page of a gateway; return what was seen there."""
    given = {"browser": str(require_browser()), "url": root(gateway), "token": token}
    seen: dict[str, Any] = json.loads(node.run("docs.mjs", given))
    return seen


def check_answers(seen: dict[str, Any]) -> None:
    """Check what the three operations have answered with what stood in their forms."""
    answers = seen["answers"]
    assert answers["metricsPatch"]["status"] == 204
    find, delete = answers["metricsFind"], answers["metricsDelete"]
    assert (find["status"], delete["status"]) == (200, 200)
    (resource,) = json.loads(find["body"])["resources"]
    assert {name: resource[name] for name in EXAMPLE} == EXAMPLE
    assert json.loads(delete["body"])["id"] == EXAMPLE["executionId"]


@pytest.fixture(scope="module")
def seen(node: Node, gateway: Gateway) -> dict[str, Any]:
    """What was seen on the page of a gateway that everyone may use."""
    return used(node, gateway)


def test_the_page_shows_the_api_and_lets_it_be_tried(seen: dict[str, Any]) -> None:
    assert "Metric ingestion" in seen["title"]
    assert "OAS 3.1" in seen["title"]
    assert seen["operations"].count("/v2/lm/metrics") == 5
    check_answers(seen)
    asked = parse_qs(urlsplit(seen["answers"]["metricsFind"]["url"]).query)
    assert asked["executionIds"] == [EXAMPLE["executionId"]]


def test_with_a_token_everything_can_be_tried_too(
    node: Node, guarded: Gateway, issuer: Issuer
) -> None:
    check_answers(used(node, guarded, issuer.token()))
    without = used(node, guarded)["answers"]
    assert {answer["status"] for answer in without.values()} == {401}


def test_everything_comes_from_the_gateway_and_nothing_is_blocked(
    gateway: Gateway, seen: dict[str, Any]
) -> None:
    assert len(seen["requests"]) > len(ASSETS)
    # Pictures inside of styles are no requests to anywhere.
    assert [one for one in seen["requests"] if not one.startswith((root(gateway), "data:"))] == []
    assert seen["complaints"] == []  # of the content security policy, above all


async def test_the_policy_keeps_out_whatever_is_from_elsewhere(
    gateway: Gateway, client: Client
) -> None:
    for path in ("/docs", *(f"/docs/{name}" for name in ASSETS)):
        answer = await client.request("GET", url=root(gateway) + path, headers={})
        assert answer.status == 200
        policy = dict(
            rule.strip().split(" ", 1)
            for rule in answer.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert not re.search(r"https?:|\*|unsafe-eval", " ".join(policy.values()))
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.body
    page = (await client.request("GET", url=root(gateway) + "/docs", headers={})).body
    assert b"http" not in page
    assert all(f"docs/{name}".encode() in page for name in ASSETS)
