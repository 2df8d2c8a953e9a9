"""Servers that take only clients with a certificate, which the URLs name."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.ports import LOOPBACK
from deploy.local.tls import Tls
from tests.security.certificates import Authority
from tests.security.tls_servers import (
    Servers,
    assert_an_update_passes,
    assert_calm,
    await_reason,
    processes,
    running_servers,
)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def servers(authority: Authority, folder: Path) -> Iterator[Servers]:
    """Both servers, which take clients of the authority only."""
    signed = authority.sign("server", LOOPBACK)
    tls = Tls(authority.file, signed.certificate, signed.key, requires_clients=True)
    with running_servers(folder, tls) as servers:
        yield servers


async def test_a_client_with_a_certificate_is_taken_and_one_without_is_not(
    servers: Servers, authority: Authority, tmp_path: Path
) -> None:
    broker, database = servers.broker.url, servers.database.url
    broker += f"?cafile={authority.file}"
    database += f"&tlsCAFile={authority.file}"
    client = authority.sign("client", "client.example")
    secret = authority.sign("secret", "client.example", password="passphrase")  # noqa: S106
    urls = {
        "AMQP_URL": f"{broker}&certfile={client.certificate}&keyfile={client.key}",
        "MONGODB_URL": f"{database}&tlsCertificateKeyFile={secret.both}"
        "&tlsCertificateKeyFilePassword=passphrase",
    }
    async with (
        processes(tmp_path, **urls) as (gateway, worker),
        processes(tmp_path, AMQP_URL=broker, MONGODB_URL=database) as strangers,
    ):
        await assert_an_update_passes(gateway, worker)
        for stranger in strangers:
            await asyncio.to_thread(await_reason, stranger, "")
            assert not stranger.is_ready()
        assert_calm(gateway, worker, *strangers)
