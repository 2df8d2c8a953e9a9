"""Dockerfile and compose file, as far as they can be judged without building: `make image` does."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.image.build import base_image
from ingest.runtime.process import _DRAIN_MARGIN_S
from ingest.runtime.settings import load
from tests.deploy.checks_of_pods import SETTINGS
from tests.deploy.objects import OVERLAYS, overlay, pods
from tests.harness.services import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
LAST_STAGE = DOCKERFILE.split("\nFROM ")[-1]


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: each one's word and the rest of it."""
    without_comments = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    joined = without_comments.replace("\\\n", " ")
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(word, rest) for word, rest in found]


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--failure-threshold", "style", DEPLOY / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_old_syntax_is_used() -> None:
    assert not re.search(r"<<|--mount|--link|--chmod|# *syntax", DOCKERFILE)
    # From nobody else's image, but for the one base.
    copied = re.findall(r"COPY .*--from=(\S+)", DOCKERFILE)
    assert set(copied) == set(re.findall(r"FROM \S+ AS (\S+)", DOCKERFILE))
    assert base_image(DOCKERFILE)[1] == "bookworm"


def test_the_last_stage_is_the_virtual_environment_alone() -> None:
    stage = dict(instructions("FROM " + LAST_STAGE))
    assert stage["COPY"] == "--from=build /app /app"
    assert "RUN" not in stage
    assert "HEALTHCHECK" not in stage
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", stage["USER"])
    assert stage["ENTRYPOINT"].startswith("[")
    assert stage["CMD"].startswith("[")


def test_tools_are_of_one_version_and_uv_is_that_of_the_lock_file() -> None:
    locked = re.search(r"^uv==(\S+)", (DEPLOY / "requirements-dev.lock").read_text(), re.MULTILINE)
    assert locked is not None
    assert f"uv=={locked[1]}" in DOCKERFILE
    assert re.search(r"setuptools==[0-9.]+", DOCKERFILE)
    assert "--require-hashes" in DOCKERFILE


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_run_as_the_image_does(name: str) -> None:
    stage = dict(instructions("FROM " + LAST_STAGE))
    exposed = set(map(int, stage["EXPOSE"].split()))
    for pod in pods(overlay(name)):
        context = pod.spec["securityContext"]
        assert f"{context['runAsUser']}:{context['runAsGroup']}" == stage["USER"]
        assert {port["containerPort"] for port in pod.container.get("ports", ())} <= exposed
        assert "command" not in pod.container, "it would replace the entry point"


def test_what_the_build_copies_is_in_its_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    for word, rest in instructions(DOCKERFILE):
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert any(fnmatch(source, pattern) for pattern in let_in), source
                assert (ROOT / source).exists()


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return found


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_the_compose_file_starts_a_process(name: str, services: dict[str, Any]) -> None:
    service = services[name]
    settings: Any = load(SETTINGS[tuple(service["command"])], service["environment"])
    read = {field.metadata["variable"] for field in type(settings).__dataclass_fields__.values()}
    assert service["environment"].keys() <= read
    # Its servers are there, and healthy before it.
    for url in (settings.amqp_url, settings.mongodb_url):
        host = re.search(r"[/@]([a-z]+):[0-9]+/", url)
        assert host is not None
        assert services[host[1]]["healthcheck"]
        assert service["depends_on"][host[1]] == {"condition": "service_healthy"}
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert (
        int(service["stop_grace_period"].rstrip("s")) > settings.drain_timeout_s + _DRAIN_MARGIN_S
    )
    (probe,) = re.findall(r"127\.0\.0\.1:(\d+)/readyz", service["healthcheck"]["test"][-1])
    assert int(probe) == settings.ops_port
    assert Path(service["build"]["dockerfile"]) == Path("deploy/Dockerfile")
    assert (DEPLOY / service["build"]["context"]).resolve() == ROOT


def test_only_the_gateway_can_be_reached_and_only_from_here(services: dict[str, Any]) -> None:
    published = {name: service.get("ports", []) for name, service in services.items()}
    assert published.pop("gateway") == ["127.0.0.1:8080:8080"]
    assert not any(published.values())
    for service in services.values():
        assert ":" in service["image"] or "build" in service, "of no version"
