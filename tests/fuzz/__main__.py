"""`python -m tests.fuzz SECONDS`: fuzz every target for so long, one after the other.

State in .local/fuzz: each target's corpus, log and findings. Ends with 1 if a law was broken; the
file that broke it then belongs into tests/fuzz/kept, and is tested from then on.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutation import MUTATIONS

FOLDER = Path(".local/fuzz")
# How long a target may take to start and, after its time is up, to end.
_GRACE_S = 120
_LOOK_EVERY_S = 1.0
_STATUS = re.compile(r"^#(\d+)\s+(\w+)\s+cov: (\d+) .*? corp: (\d+)/", re.MULTILINE)
_FINDINGS = ("crash-", "timeout-", "oom-")


@dataclass(slots=True)
class Running:
    """One target's process and what its log says so far."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    deadline: float
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    executions: int = 0
    first_coverage: int = 0
    coverage: int = 0
    inputs: int = 0

    def look(self) -> bool:
        """Read the log; returns whether the process still runs."""
        ended = self.process.poll() is not None
        if not ended and time.monotonic() > self.deadline:
            self.process.kill()
            ended = bool(self.process.wait())
        self.seconds = time.monotonic() - self.started
        for executions, event, coverage, inputs in _STATUS.findall(self.log.read_text("latin-1")):
            self.executions, self.coverage, self.inputs = map(int, (executions, coverage, inputs))
            if event == "INITED":
                self.first_coverage = self.coverage
        return not ended

    @property
    def log(self) -> Path:
        """Where the fuzzer writes."""
        return self.folder / "log"

    @property
    def findings(self) -> list[Path]:
        """The inputs that broke a law."""
        return [path for path in sorted(self.folder.iterdir()) if path.name.startswith(_FINDINGS)]

    @property
    def verdict(self) -> str:
        """What came out."""
        if self.findings:
            return ", ".join(map(str, self.findings))
        return "none" if self.process.returncode == 0 else f"it broke: see {self.log}"


@contextmanager
def _started(name: str, seconds: int) -> Iterator[Running]:
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "seeds", ignore_errors=True)
    for path in folder.iterdir():
        if path.name.startswith(_FINDINGS):
            path.unlink()
    command = [sys.executable, "-m", "tests.fuzz.target", name, str(folder), str(seconds)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield Running(name, folder, process, time.monotonic() + seconds + _GRACE_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _fuzz(name: str, seconds: int) -> Running:
    with _started(name, seconds) as running:
        while running.look():
            _show(running, seconds)
            time.sleep(_LOOK_EVERY_S)
        _show(running, seconds, end="\n")
    return running


def _show(running: Running, seconds: int, end: str = "") -> None:
    """Show progress: on one line of a terminal; elsewhere only the last state."""
    if end or sys.stdout.isatty():
        start = "\r" if sys.stdout.isatty() else ""
        print(
            f"{start}{running.name:8} {running.seconds:5.0f} of {seconds} s  "
            f"{running.executions:>9} executions  coverage {running.coverage:>4}  "
            f"corpus {running.inputs:>4}",
            end=end,
            flush=True,
        )


def main() -> int:
    """Fuzz one target after the other, and print a table."""
    seconds = int(sys.argv[1])
    names = sys.argv[2:] or list(MUTATIONS)
    done = [_fuzz(name, seconds) for name in names]
    print(f"\n{'target':8} {'executions':>10} {'seconds':>7} {'new coverage':>12}  findings")
    for one in done:
        new = one.coverage - one.first_coverage
        print(f"{one.name:8} {one.executions:>10} {one.seconds:>7.0f} {new:>12}  {one.verdict}")
    return int(any(one.verdict != "none" for one in done))


if __name__ == "__main__":
    sys.exit(main())
