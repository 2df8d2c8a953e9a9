"""Passwords, tokens and what clients send: nowhere in what a process writes or answers."""

import asyncio
import json
import os
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
from pymongo import MongoClient

from deploy.local.mongodb import MongoDB
from deploy.local.ports import LOOPBACK
from deploy.local.process import wait_for
from deploy.local.rabbitmq import RabbitMQ
from tests.api.wire import Wire, exchange, patch, request
from tests.faults.proxy import Proxy
from tests.harness.client import Client
from tests.harness.services import Gateway, Service, Worker

pytestmark = pytest.mark.timeout(180)

# Every character that a URL could trip over, and a word to look for in every encoding.
WORD = "tellnobody"
PASSWORD = f"{WORD}/@:?#[%]&= +"
TOKEN = f"token.{WORD}.{uuid4().hex}"
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Account:
    """The same user at both servers, with rights to a virtual host and a database."""

    name: str

    def environment(self, broker_port: int, database_port: int, password: str) -> dict[str, str]:
        """The settings of a process that is this user, at `level` debug."""
        user = f"{self.name}:{quote(password, safe='')}"
        return {
            "AMQP_URL": f"amqp://{user}@{LOOPBACK}:{broker_port}/{self.name}",
            "MONGODB_URL": f"mongodb://{user}@{LOOPBACK}:{database_port}/"
            "?directConnection=true&authSource=admin",
            "MONGODB_DATABASE": self.name,
            "LOG_LEVEL": "debug",
        }


@pytest.fixture(scope="module")
def account(broker: RabbitMQ, database: MongoDB) -> Iterator[Account]:
    """A user with PASSWORD."""
    name = f"secret-{os.getpid()}"
    broker.control(
        "eval",
        f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), '
        f'rabbit_auth_backend_internal:add_user(<<"{name}">>, <<"{PASSWORD}">>, <<"tests">>), '
        f"rabbit_auth_backend_internal:set_permissions("
        f'<<"{name}">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).',
    )
    with MongoClient[dict[str, object]](database.url) as mongo:
        roles = [{"role": "readWrite", "db": name}]
        mongo.admin.command("createUser", name, pwd=PASSWORD, roles=roles)
        yield Account(name)
        mongo.admin.command("dropUser", name)


def processes(folder: Path, environment: dict[str, str]) -> list[Service]:
    services: list[Service] = [Gateway(folder, environment), Worker(folder, environment)]
    for service in services:
        service.launch()
    return services


def shown(service: Service) -> str:
    """Return whatever anybody may see of a running process."""
    identity = service.process.identity
    assert identity is not None, service.process.log_tail(40)
    texts = [service.process.log.read_text()]
    texts += [Path(f"/proc/{identity.pid}/{name}").read_text() for name in ("cmdline", "comm")]
    for path in ("/livez", "/readyz", "/metrics", f"/{TOKEN}"):
        try:
            texts.append(service.operations(path))
        except urllib.error.HTTPError as error:
            texts += [str(error.headers), error.read().decode()]
            error.close()
    return "\n".join(texts)


def assert_secret(*texts: str) -> None:
    for text in texts:
        place = text.lower().find(WORD)
        assert place == -1, text[max(0, place - 300) : place + 100]


def reasons(service: Service) -> str:
    return json.dumps([line.get("reason") for line in service.logs()])


async def until(service: Service, *texts: str) -> None:
    """Wait until the process has logged all these reasons."""

    def logged() -> bool:
        return all(any(one in reasons(service) for one in text.split("|")) for text in texts)

    assert await asyncio.to_thread(wait_for, logged, DEADLINE_S), service.process.log_tail(40)


async def test_passwords_are_nowhere_while_all_is_well_and_when_the_servers_go(
    account: Account, broker: RabbitMQ, database: MongoDB, tmp_path: Path
) -> None:
    async with Proxy(broker.port) as to_broker, Proxy(database.members[0].port) as to_database:
        environment = account.environment(to_broker.port, to_database.port, PASSWORD)
        services = processes(tmp_path, environment)
        try:
            for service in services:
                await asyncio.to_thread(service.await_ready)
            assert isinstance(services[0], Gateway)
            async with Client(services[0].url) as client:
                await client.accepted({"executionId": "kept-secret"})
                await client.resource("kept-secret")
                await to_broker.__aexit__()
                await to_database.__aexit__()
                answer = await client.query(executionIds="kept-secret")
                assert answer.status == 503
                assert_secret(answer.body.decode(), str(answer.headers))
            for service in services:
                await until(service, "refused|Connect call failed|111")
                assert_secret(await asyncio.to_thread(shown, service))
        finally:
            for service in services:
                await asyncio.to_thread(service.kill)


async def test_a_wrong_password_is_nowhere_and_said_to_be_wrong(
    account: Account, broker: RabbitMQ, database: MongoDB, tmp_path: Path
) -> None:
    wrong = PASSWORD + "wrong"
    ports = (broker.port, database.members[0].port)
    services = processes(tmp_path, account.environment(*ports, wrong))
    try:
        for service in services:
            await until(service, "ACCESS_REFUSED", "Authentication failed")
            assert not service.is_ready()
            text = await asyncio.to_thread(shown, service)
            assert_secret(text)
            assert "Traceback" not in text
    finally:
        for service in services:
            await asyncio.to_thread(service.stop)


@pytest.mark.parametrize("cls", [Gateway, Worker])
def test_settings_that_are_wrong_end_the_process_and_show_nothing(
    cls: type[Gateway | Worker], tmp_path: Path
) -> None:
    service = cls(
        tmp_path,
        {
            "AMQP_URL": f"amqps://user:{WORD}@host/?cafile=/nowhere/{WORD}.pem",
            "MONGODB_URL": f"mongodb://user:a/{WORD}@host/",
            "MONGODB_DATABASE": "",
            "LOG_LEVEL": "loud",
        },
    )
    service.launch()
    assert service.await_end() == 2
    lines = service.process.log_lines()
    assert_secret("\n".join(lines))
    first, *problems = (line.split()[0] for line in lines)
    assert first == "Cannot"
    assert sorted(problems) == ["AMQP_URL", "LOG_LEVEL", "MONGODB_URL"]


async def test_what_clients_send_is_in_no_log_and_no_token_in_any_answer(
    account: Account, broker: RabbitMQ, database: MongoDB, tmp_path: Path
) -> None:
    ports = (broker.port, database.members[0].port)
    gateway = Gateway(tmp_path, account.environment(*ports, PASSWORD))
    bearer = f"Bearer {TOKEN}"
    authorized = f"Authorization: {bearer}\r\n".encode()
    try:
        await asyncio.to_thread(gateway.start)
        async with Client(gateway.url) as client:
            for body in (b"{", b'{"executionId": 1}', b'{"executionId": "sent"}'):
                answer = await client.patch(body, Authorization=bearer)
                assert_secret(answer.body.decode(), str(answer.headers))
            answer = await client.query(executionIds="nobody", tagFilters="a=")
            assert_secret(answer.body.decode(), str(answer.headers))
            # A token in a wrong place is shown to who sent it there, and to nobody else.
            for wrong in (
                {TOKEN: 1},
                {"executionId": TOKEN + "/"},
                {"executionId": "sent", "metrics": [{"name": "m", "value": TOKEN}]},
                {"executionId": "sent", "tags": [{"name": TOKEN, "value": None}]},
                {"executionId": "sent", "metrics": [{"name": "m", "value": 1, "timestamp": TOKEN}]},
            ):
                await client.patch(json.dumps(wrong).encode())
            await client.patch(f'{{"{TOKEN}'.encode())
            await client.patch(b"{}", **{"Content-Type": bearer})
            await client.patch(b"{}", **{"Content-Encoding": bearer})
            await client.patch(b"{}", **{"AI-Resource-Group": bearer})
            await client.query(executionIds=bearer, select=TOKEN, top=TOKEN)
            await client.query(filter=f"{TOKEN} eq '{TOKEN}'", tagFilters=bearer)
            await client.delete(TOKEN + "/")
            await client.request("GET", url=f"{gateway.url}/{TOKEN}")
            await client.request(f"M{TOKEN}".replace(".", ""))
        for malformed in (
            patch(authorized.replace(b"\r\n", b"\x00\r\n")),
            patch(authorized.replace(b"n: ", b"n ")),
            patch(authorized.replace(b": ", b" : ") + b"Content-Length: x\r\n"),
            request(f"GET {TOKEN} HTTP/1.1"),
            f"{bearer}\r\n\r\n".encode(),
        ):
            for port in (gateway.port, gateway.ops_port):
                refused = await asyncio.to_thread(exchange, port, malformed)
                if port == gateway.port and refused is not None:
                    assert_secret(refused.body.decode(), str(refused.headers))
        assert_secret(await asyncio.to_thread(shown, gateway))
        refusals = [line for line in gateway.logs() if line["message"] == "refused"]
        assert len(refusals) > 15
        assert ["/metrics/0/value Type"] in [line["details"] for line in refusals]
        assert {line["path"] for line in refusals} == {"/v2/lm/metrics", "(unknown)"}
    finally:
        await asyncio.to_thread(gateway.stop)


@pytest.fixture
def flooded(gateway: Gateway, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with a log of its own."""
    flooded = Gateway(tmp_path, gateway.environment)
    flooded.start()
    yield flooded
    flooded.stop()


async def test_a_flood_of_refusals_does_not_flood_the_logs(flooded: Gateway) -> None:
    sent = 400
    async with Client(flooded.url) as client:
        await asyncio.gather(*(client.patch(b"{") for _ in range(sent)))

        def counted() -> tuple[int, int]:
            lines = flooded.logs()
            written = sum(line["message"] == "refused" for line in lines)
            return written, sum(line["lines"] for line in lines if line.get("of") == "refused")

        # The next line after each second of the flood, which may take more than one, says how many
        # were left out of it.
        async with asyncio.timeout(DEADLINE_S):
            while sum(counted()) < sent:
                await asyncio.sleep(0.2)
                await client.patch(b"{")
                sent += 1
    written, left_out = counted()
    assert written + left_out == sent
    assert left_out > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/v2/lm/metrics", f"/{TOKEN}"])
def test_the_operations_port_can_only_be_read(gateway: Gateway, method: str, path: str) -> None:
    answer = exchange(gateway.ops_port, request(f"{method} {path} HTTP/1.1"))
    assert answer is not None
    assert answer.status == (405 if path in ("/livez", "/readyz", "/metrics") else 404)
    assert answer.body in (b"405: Method Not Allowed\n", b"404: Not Found\n")
    assert_secret(str(answer.headers))


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_the_operations_port_answers_head(gateway: Gateway, path: str) -> None:
    with Wire(gateway.ops_port) as wire:
        wire.send(request(f"HEAD {path} HTTP/1.1"))
        head, _, body = wire.read_all().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == b""
