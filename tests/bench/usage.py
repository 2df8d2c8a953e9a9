"""What processes use of the machine, out of /proc (see proc(5))."""

import time
from pathlib import Path

_KIB_MB = 1024 / 1e6


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used so far, of all its threads, in seconds."""
    # Finer than the clock ticks of /proc/PID/stat. A thread that has ended counts no longer; those
    # of pools, which do the work here, do not end.
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def resident_mb(pid: int) -> float:
    """Return the memory that a process has resident now, in MB."""
    return _status_kib(pid, "VmRSS") * _KIB_MB


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has had resident since `forget_peak`, in MB."""
    return _status_kib(pid, "VmHWM") * _KIB_MB


def forget_peak(pid: int) -> None:
    """Let the peak begin anew with what is resident now, in MB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def busy_share(seconds: float) -> float:
    """Return the share of all cores that is in use, by anyone, over a time."""
    used, idle = _machine_ticks()
    time.sleep(seconds)
    used_later, idle_later = _machine_ticks()
    passed = used_later - used + idle_later - idle
    return (used_later - used) / passed if passed else 0.0


def _machine_ticks() -> tuple[int, int]:
    user, nice, system, idle, iowait, *others = map(
        int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    )
    return user + nice + system + sum(others), idle + iowait


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])  # "kB" means KiB
    raise KeyError(name)
