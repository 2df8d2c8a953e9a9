"""Processes that have nothing to do."""

from tests.harness.services import Gateway, Site, Worker


def test_an_idle_service_stops_at_once(site: Site) -> None:
    services: list[Gateway | Worker] = [site.gateway(), site.worker()]
    for service in services:
        service.start()
        service.terminate()
        assert service.await_end() == 0
        assert service.logs()[-1]["message"] == "stopped"
