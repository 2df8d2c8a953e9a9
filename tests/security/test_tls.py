"""TLS to both servers: it works, and nobody else's certificate is accepted."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.amqp_probe import accepts_login
from deploy.local.ports import LOOPBACK
from deploy.local.tls import Tls
from tests.harness.services import Gateway, Service
from tests.security.certificates import Authority, Signed
from tests.security.front import Front
from tests.security.tls_servers import (
    Servers,
    assert_an_update_passes,
    assert_calm,
    await_reason,
    processes,
    reasons,
    running_servers,
)

# Loaded machines start servers slowly.
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def signed(authority: Authority) -> Signed:
    """The certificate of both servers."""
    return authority.sign("server", LOOPBACK, "localhost")


@pytest.fixture(scope="module")
def servers(authority: Authority, signed: Signed, folder: Path) -> Iterator[Servers]:
    """Both servers, which take any client."""
    with running_servers(folder, Tls(authority.file, signed.certificate, signed.key)) as servers:
        yield servers


def urls(servers: Servers, broker_options: str, database_options: str) -> dict[str, str]:
    return {
        "AMQP_URL": servers.broker.url + broker_options,
        "MONGODB_URL": servers.database.url + database_options,
    }


def test_the_broker_takes_no_connection_without_tls(servers: Servers) -> None:
    assert not accepts_login((LOOPBACK, servers.broker.port), "guest", "guest")


async def test_an_update_passes_with_an_authority_in_the_urls(
    servers: Servers, authority: Authority, tmp_path: Path
) -> None:
    given = urls(servers, f"?cafile={authority.file}", f"&tlsCAFile={authority.file}")
    async with processes(tmp_path, **given) as (gateway, worker):
        await assert_an_update_passes(gateway, worker)
        assert_calm(gateway, worker)


async def test_an_update_passes_with_an_authority_of_the_system(
    servers: Servers, authority: Authority, tmp_path: Path
) -> None:
    given = urls(servers, "", "")
    async with processes(tmp_path, SSL_CERT_FILE=str(authority.file), **given) as (gateway, worker):
        await assert_an_update_passes(gateway, worker)


async def test_no_impostor_is_believed_and_the_right_server_is_found_again(
    servers: Servers, authority: Authority, signed: Signed, tmp_path: Path
) -> None:
    other = Authority("other", tmp_path / "other")
    unknown = other.sign("server", LOOPBACK, "localhost")
    misnamed = authority.sign("misnamed", "elsewhere.example", "127.0.0.2")
    broker = Front(servers.broker.port, authority.file)
    database = Front(servers.database.members[0].port, authority.file)
    async with broker, database:
        for front in (broker, database):
            await front.present(unknown)
        given = {
            "AMQP_URL": f"amqps://guest:guest@{LOOPBACK}:{broker.port}/?cafile={authority.file}",
            # Else the driver would ask the set for its members and go there directly.
            "MONGODB_URL": f"mongodb://{LOOPBACK}:{database.port}/"
            f"?directConnection=true&tls=true&tlsCAFile={authority.file}",
        }
        async with processes(tmp_path, **given) as (gateway, worker):
            await refuse("unable to get local issuer certificate", gateway, worker)
            for front in (broker, database):
                await front.present(misnamed)
            why = f"IP address mismatch, certificate is not valid for '{LOOPBACK}'"
            await refuse(why, gateway, worker)
            assert (broker.forwarded_bytes, database.forwarded_bytes) == (0, 0)
            for front in (broker, database):
                await front.present(signed)
            await assert_an_update_passes(gateway, worker)
            assert_calm(gateway, worker)


async def refuse(why: str, *services: Service) -> None:
    """Wait until all say of both servers why they refuse them; they must not be ready."""

    def check(service: Service) -> None:
        seen = len(reasons(service))
        await_reason(service, f"the broker's certificate is refused: {why}", seen)
        await_reason(service, f"certificate verify failed: {why}", seen)
        assert not service.is_ready()

    await asyncio.gather(*(asyncio.to_thread(check, one) for one in services))
    assert_calm(*services)


async def test_without_its_authority_a_server_is_refused(servers: Servers, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, urls(servers, "", ""))
    gateway.launch()
    try:
        await refuse("", gateway)
    finally:
        await asyncio.to_thread(gateway.stop)


async def test_an_option_that_lets_anyone_pose_as_the_server_is_warned_about_once(
    servers: Servers, tmp_path: Path
) -> None:
    given = urls(servers, "?no_verify_ssl=1", "&tlsAllowInvalidCertificates=true")
    async with processes(tmp_path, **given) as (gateway, worker):
        await assert_an_update_passes(gateway, worker)
        for service in (gateway, worker):
            warned = [(one.get("variable"), one.get("option")) for one in service.logs()]
            assert sorted(pair for pair in warned if pair[1]) == [
                ("AMQP_URL", "no_verify_ssl"),
                ("MONGODB_URL", "tlsAllowInvalidCertificates"),
            ]


async def test_a_broker_asked_without_tls_is_no_broker(servers: Servers, tmp_path: Path) -> None:
    given = urls(servers, "", "")
    given["AMQP_URL"] = given["AMQP_URL"].replace("amqps:", "amqp:")
    async with processes(tmp_path, **given) as (gateway, worker):
        for service in (gateway, worker):
            await asyncio.to_thread(await_reason, service, "")
            assert not service.is_ready()
        assert_calm(gateway, worker)


async def test_a_broker_that_falls_silent_holds_up_no_drain(
    servers: Servers, authority: Authority, tmp_path: Path
) -> None:
    # Over TLS a close has a part for the peer, too, which asyncio would await for half a minute.
    given = urls(servers, f"?cafile={authority.file}", f"&tlsCAFile={authority.file}")
    broker = servers.broker.process.identity
    assert broker is not None
    async with processes(tmp_path, **given) as both:
        for service in both:
            await asyncio.to_thread(service.await_ready)
        broker.send(signal.SIGSTOP)
        try:
            for service in both:
                service.terminate()
            for service in both:
                assert await asyncio.to_thread(service.await_end) == 0
        finally:
            broker.send(signal.SIGCONT)
