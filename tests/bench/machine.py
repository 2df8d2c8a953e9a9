"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.local.mongodb import MongoDB
from deploy.local.rabbitmq import RabbitMQ
from tests.bench.usage import busy_share

_PACKAGES = (
    "aiohttp",
    "aio-pika",
    "aiormq",
    "motor",
    "pymongo",
    "orjson",
    "jsonschema-rs",
    "uvloop",
)
_LOOK_S = 1.0


def describe(broker: RabbitMQ, database: MongoDB) -> dict[str, Any]:
    """Describe the machine, the software, and how busy the machine was before the bench began."""
    with database.members[0].connect() as client:
        mongodb = client.server_info()["version"]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD") + ("+" if _git("status", "--porcelain") else ""),
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "busy_before": busy_share(_LOOK_S),
        "python": platform.python_version(),
        "rabbitmq": broker.control("version").strip(),
        "mongodb": mongodb,
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S607 - the developer's own git
    return done.stdout.strip()
