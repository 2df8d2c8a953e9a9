"""A child process with an identity: it can be found again later and ended with all it started.

Linux only: identities and process trees are read from /proc.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

_POLL_INTERVAL_S = 0.02
_STRAGGLER_DEADLINE_S = 3.0


@dataclass(frozen=True, slots=True)
class Identity:
    """A process id together with its start time, so that a reused id is not taken for ours."""

    pid: int
    started_ticks: int

    def is_alive(self) -> bool:
        """Say whether this very process still runs; a zombie does not."""
        stat = _read_stat(self.pid)
        return stat is not None and stat.started_ticks == self.started_ticks and stat.runs()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process is gone."""
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


@dataclass(frozen=True, slots=True)
class _Stat:
    """What /proc/PID/stat says of a process: see proc(5)."""

    state: str
    parent: int
    threads: int
    started_ticks: int

    def runs(self) -> bool:
        # The first thread of a process may have ended, and so look like a zombie, while others
        # are still at work and hold its files and ports.
        return self.state not in "ZX" or self.threads > 1


def _read_stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the program's name in parentheses and may itself hold both.
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(
        state=fields[0],
        parent=int(fields[1]),
        threads=int(fields[17]),
        started_ticks=int(fields[19]),
    )


def identify(pid: int) -> Identity | None:
    """Return the identity of a running process, None if there is none."""
    stat = _read_stat(pid)
    return None if stat is None else Identity(pid, stat.started_ticks)


def descendants(pid: int) -> list[Identity]:
    """Return every process started by `pid`, directly or through others, parents first."""
    children: dict[int, list[Identity]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _read_stat(int(entry.name))):
            identity = Identity(int(entry.name), stat.started_ticks)
            children.setdefault(stat.parent, []).append(identity)

    def walk(parent: int) -> Iterator[Identity]:
        for child in children.get(parent, []):
            yield child
            yield from walk(child.pid)

    return list(walk(pid))


def wait_for(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Wait until the condition holds; False if it still does not after the deadline."""
    ends = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= ends:
            return False
        time.sleep(_POLL_INTERVAL_S)
    return True


@cache
def _spawner() -> ThreadPoolExecutor:
    """Return the thread that starts the children which must die with this process.

    The kernel's parent-death signal fires when the *thread* that forked ends (see prctl(2)), so a
    short-lived thread, for example one of an event loop's pool, must not be the one that forks.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class Process:
    """One child process, its log and its pid file.

    Another Python process that makes a Process with the same pid file can stop the child too.
    """

    def __init__(self, name: str, log: Path, pid_file: Path) -> None:
        self.name = name
        self.log = log
        self._pid_file = pid_file
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        outlive_parent: bool = False,
        append_log: bool = False,
    ) -> None:
        """Start the child in a session of its own, so that a terminal's Ctrl-C does not reach it.

        Unless `outlive_parent`, the kernel kills it when this process ends in whatever way.
        Raises OSError when the program can't be started.
        """
        arguments = [str(part) for part in command]
        # setpriv rather than preexec_fn: running Python between fork and exec is not safe when
        # there are threads, and warned about from Python 3.12 on. A system without setpriv loses
        # only the protection against a parent that is killed.
        if not outlive_parent and (setpriv := shutil.which("setpriv")):
            arguments = [setpriv, "--pdeathsig", "KILL", "--", *arguments]
        spawning = _spawner().submit(
            lambda: self._spawn(
                arguments, environment, append_log=append_log, outlive_parent=outlive_parent
            )
        )
        try:
            spawning.result()
        finally:
            # If Ctrl-C interrupted the line above, the child must be known before we unwind.
            wait([spawning])

    def _spawn(
        self,
        arguments: list[str],
        environment: Mapping[str, str],
        *,
        append_log: bool,
        outlive_parent: bool,
    ) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab" if append_log else "wb") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                arguments,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if identity := identify(self._child.pid):
            self._pid_file.write_text(json.dumps(asdict(identity)))
        if outlive_parent:
            # Popen warns about a child that it has not seen end, and this one is not ours to watch.
            self._child.returncode = 0
            self._child = None

    @property
    def identity(self) -> Identity | None:
        """The running child, whoever started it; None if it does not run."""
        if self._child is not None:
            self._child.poll()
        try:
            identity = Identity(**json.loads(self._pid_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return identity if identity.is_alive() else None

    def is_alive(self) -> bool:
        """Say whether the child runs."""
        return self.identity is not None

    @property
    def exit_code(self) -> int | None:
        """The child's exit code, negative for a signal; None if it runs or is not our child."""
        return None if self._child is None else self._child.poll()

    def log_lines(self) -> list[str]:
        """Return the lines the child has written since it was last started."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._log_start)
                return log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def log_tail(self, lines: int = 15) -> str:
        """Return the last of those lines, as one text."""
        return "\n".join(self.log_lines()[-lines:])

    def stop(self, deadline_s: float) -> bool:
        """Ask the child to end and wait; kill it after the deadline. Return whether it obeyed."""
        if (leader := self.identity) is None:
            self._pid_file.unlink(missing_ok=True)
            return True
        family = descendants(leader.pid)
        leader.send(signal.SIGTERM)
        obeyed = wait_for(lambda: not self.is_alive(), deadline_s)
        self._end(leader, family)
        return obeyed

    def kill(self) -> None:
        """Kill the child and everything it started, and wait until they are gone."""
        if (leader := self.identity) is not None:
            family = descendants(leader.pid)
            leader.send(signal.SIGKILL)
            self._end(leader, family)

    def _end(self, leader: Identity, family: list[Identity]) -> None:
        """Leave nothing of a process tree behind; what its leader started may end by itself."""
        leader.send(signal.SIGKILL)
        if not wait_for(lambda: not any(p.is_alive() for p in family), _STRAGGLER_DEADLINE_S):
            for process in family:
                process.send(signal.SIGKILL)
        wait_for(lambda: not any(p.is_alive() for p in [leader, *family]), _STRAGGLER_DEADLINE_S)
        if self._child is not None and self._child.pid == leader.pid:
            self._child.wait()
        self._pid_file.unlink(missing_ok=True)
