"""Pages of other origins: nothing without a setting, and with one what it says."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.api.wire import Wire
from tests.auth.issuer import Issuer
from tests.harness.client import EXAMPLE, Answer, Client
from tests.harness.services import Gateway

APP = "https://app.example"
SETTING = f"{APP}, http://localhost:3000"
PREFLIGHT = {
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "ai-resource-group,authorization,content-type",
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def listing(
    gateway: Gateway, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway for the pages of two origins, which wants tokens."""
    settings = {"INGEST_CORS_ORIGINS": SETTING} | issuer.settings
    listing = Gateway(tmp_path_factory.mktemp("cors"), gateway.environment | settings)
    listing.start()
    yield listing
    listing.stop()


@pytest.fixture
async def page(listing: Gateway, issuer: Issuer) -> AsyncIterator[Client]:
    """A page of one of the origins."""
    token = {"Authorization": f"Bearer {issuer.token()}"}
    async with Client(listing.url, "cors-tests", Origin=APP, **token) as client:
        yield client


@pytest.fixture(scope="module")
def anyone(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway for the pages of all origins."""
    folder = tmp_path_factory.mktemp("cors-all")
    anyone = Gateway(folder, gateway.environment | {"INGEST_CORS_ORIGINS": "*"})
    anyone.start()
    yield anyone
    anyone.stop()


def cors(answer: Answer) -> dict[str, str]:
    return {
        name: value for name, value in answer.headers.items() if name.startswith("Access-Control")
    }


async def test_without_the_setting_no_page_may_anything(client: Client) -> None:
    for method, headers in (
        ("PATCH", {"Content-Type": "application/json"}),
        ("GET", {}),
        ("OPTIONS", PREFLIGHT),
    ):
        every = client.headers | {"Origin": APP} | headers
        data = b'{"executionId": "cors"}' if method == "PATCH" else None
        answer = await client.request(method, headers=every, data=data)
        assert cors(answer) == {}
        assert "Origin" not in answer.headers.get("Vary", "")


async def test_a_page_of_a_listed_origin_may_read_every_kind_of_answer(
    listing: Gateway, page: Client
) -> None:
    large = [{"name": "loss", "value": step, "step": step} for step in range(1000)]
    answers = [await page.patch(EXAMPLE)]
    for number in range(3):
        metrics = [one | {"timestamp": f"2026-01-01T00:00:0{number}Z"} for one in large]
        answers.append(await page.patch({"executionId": "large", "metrics": metrics}))
    answers += [
        await page.patch(b"{"),
        await page.query(executionIds="large"),
        await page.query(executionIds=EXAMPLE["executionId"]),
        await page.query(executionIds="no-such-run"),
        await page.request("HEAD", params={"executionIds": "large"}),
        await page.delete("large"),
        await page.request("POST"),
        await page.request("GET", url=f"{listing.url}/nowhere"),
        await page.request("GET", headers={"Origin": APP}),  # without a token
    ]
    assert [one.status for one in answers] == [
        204, 204, 204, 204, 400, 200, 200, 404, 200, 200, 405, 404, 401,
    ]  # fmt: skip
    assert answers[5].headers["Transfer-Encoding"] == "chunked"
    for answer in answers:
        assert answer.headers.getall("Access-Control-Allow-Origin") == [APP]
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"X-Request-ID", "Retry-After"} <= set(exposed)
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers.getall("Vary").count("Origin") == 1


async def test_a_preflight_needs_no_token_and_says_what_a_page_may_send(page: Client) -> None:
    answer = await page.request("OPTIONS", headers={"Origin": APP} | PREFLIGHT)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, OPTIONS, PATCH"
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"ai-resource-group", "authorization", "content-type", "traceparent"} <= set(allowed)
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://other.example", "http://app.example", "https://app.example:444", "null",
               "https://app.example.evil", "*", f"{APP}, http://localhost:3000"],
)  # fmt: skip
async def test_a_page_of_another_origin_may_not(page: Client, origin: str) -> None:
    for method, headers in (("OPTIONS", PREFLIGHT), ("GET", {})):
        answer = await page.request(method, headers={"Origin": origin} | headers)
        assert cors(answer) == {}
        # A cache must not give it the answer that was made for another.
        assert "Origin" in answer.headers.getall("Vary")


async def test_who_is_no_page_gets_the_answer_that_he_always_gets(page: Client) -> None:
    headers = {name: value for name, value in page.headers.items() if name != "Origin"}
    answer = await page.request("GET", headers=headers, params={"executionIds": "no-such-run"})
    assert answer.status == 404
    assert cors(answer) == {}


async def test_all_origins_may_if_the_setting_says_so_but_never_with_cookies(
    anyone: Gateway,
) -> None:
    async with Client(anyone.url, "cors-tests", Origin="https://whoever.example") as page:
        for answer in (
            await page.patch(EXAMPLE),
            await page.query(executionIds="no-such-run"),
            await page.request("OPTIONS", headers=page.headers | PREFLIGHT),
        ):
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "Origin" not in answer.headers.getall("Vary", [])


async def test_the_204_keeps_its_connection(listing: Gateway, page: Client) -> None:
    body = b'{"executionId": "cors"}'
    token = page.headers["Authorization"]
    sent = (
        f"PATCH /v2/lm/metrics HTTP/1.1\r\nHost: a\r\nAI-Resource-Group: cors-tests\r\n"
        f"Content-Type: application/json\r\nOrigin: {APP}\r\nAuthorization: {token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with Wire(listing.port) as wire:
        for _ in range(2):
            wire.send(sent)
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == APP
            assert "Content-Length" not in answer.headers
