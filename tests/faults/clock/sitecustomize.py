# ruff: noqa: INP001 - no package: its folder stands on PYTHONPATH
"""Move a process's wall clock: Python imports this at its start, from a folder on PYTHONPATH.

The file that CLOCK_FILE names holds by how many seconds.
"""

import os
import time
from pathlib import Path

_file = Path(os.environ["CLOCK_FILE"])
_real_ns = time.time_ns


def _moved_ns() -> int:
    return _real_ns() + int(_file.read_text()) * 1_000_000_000


time.time_ns = _moved_ns
time.time = lambda: _moved_ns() / 1e9
