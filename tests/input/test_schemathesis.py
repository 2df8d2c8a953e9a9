"""schemathesis reads /openapi.json and tries what it says on a live gateway, with every check."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.services import ROOT, Gateway
from tests.input.effort import FUZZ_SECONDS

_CONFIG = Path(__file__).with_name("schemathesis.toml")
_EXAMPLES = 10
_DEADLINE_S = 300
_LEAST_S = 60  # in less, it hardly gets beyond its preparations
# All checks: none is left out. What OpenAPI cannot express is in the hooks.
_COMMON = (
    "--checks=all",
    "--continue-on-failure",
    "--request-timeout=30",
    "--warnings=off",
    "--no-color",
)


@pytest.mark.timeout(_DEADLINE_S + FUZZ_SECONDS)
def test_the_gateway_does_what_its_document_says(gateway: Gateway, tmp_path: Path) -> None:
    if FUZZ_SECONDS:
        effort = [f"--max-time={max(_LEAST_S, FUZZ_SECONDS)}", "--generation-database=:memory:"]
    else:
        effort = [f"--max-examples={_EXAMPLES}", "--generation-deterministic", "--no-shrink"]
    url = gateway.url.removesuffix("/v2") + "/openapi.json"
    program = str(Path(sys.executable).parent / "schemathesis")
    command = [program, "--config-file", str(_CONFIG), "run", url, *_COMMON, *effort]
    more = {"SCHEMATHESIS_HOOKS": "tests.input.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        env=os.environ | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_DEADLINE_S + FUZZ_SECONDS,
    )
    assert run.returncode == 0, run.stdout[-10_000:]
    # That it found nothing counts only if it tried.
    assert "3 selected / 3 total" in run.stdout
    generated = re.search(r"(\d+) generated, (\d+) passed", run.stdout)
    assert generated is not None
    assert int(generated[1]) == int(generated[2]) > 0
    assert [line for line in gateway.logs() if line["level"] == "error"] == []
