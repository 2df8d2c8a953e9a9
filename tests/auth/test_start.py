"""A gateway that is not told whom to let in does not start."""

from pathlib import Path

from tests.harness.services import Gateway

EXIT_SETTINGS = 2


def complaints(gateway: Gateway, folder: Path, settings: dict[str, str]) -> set[str]:
    """Start a gateway that must refuse to; return the variables that it complains about."""
    refusing = Gateway(folder, gateway.environment | settings)
    refusing.launch()
    assert refusing.await_end() == EXIT_SETTINGS
    first, *rest = refusing.process.log.read_text().splitlines()
    assert first.startswith("Cannot start, the settings need a change")
    return {line.split(" ")[0] for line in rest}


def test_a_gateway_that_is_not_told_refuses_to_start(gateway: Gateway, tmp_path: Path) -> None:
    assert complaints(gateway, tmp_path, {"INGEST_AUTH": ""}) == {"INGEST_AUTH"}


def test_with_tokens_url_issuer_and_audience_are_required(gateway: Gateway, tmp_path: Path) -> None:
    assert complaints(gateway, tmp_path, {"INGEST_AUTH": "jwt"}) == {
        "INGEST_JWT_JWKS_URL",
        "INGEST_JWT_ISSUER",
        "INGEST_JWT_AUDIENCE",
    }
