"""`make profile`: where gateway and worker spend their time under load.

    python -m tests.bench.profile [--metrics 10] [--seconds 10] [--saturate]

By default at the highest rate at which the queue does not grow; with --saturate as fast as the
gateway answers. Writes `.local/profile-gateway.txt` and `-worker.txt`, collapsed stacks, and `.svg`
flame graphs, and prints the functions with most time of their own and with what they call. Only
threads that hold the interpreter's lock count: on recent kernels py-spy takes some that wait for
running ones. py-spy needs the right to look into other processes: root, or
`kernel.yama.ptrace_scope` 0.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.local.install import InstallError
from deploy.local.server import ServerError
from tests.bench.bodies import Mix
from tests.bench.pipeline import pipeline
from tests.bench.rig import BenchError, Rig, pid_of, plain_console, rig_in
from tests.bench.stacks import Profile, read_stacks
from tests.harness.services import Service

_FOLDER = Path(".local")
_WARM_UP_S = 4
_MARGIN_S = 4
_SAMPLES_PER_S = 100
_TOP = 25


def main() -> int:
    """Profile as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile")
    parser.add_argument("--metrics", type=int, default=10, help="in each update")
    parser.add_argument("--seconds", type=int, default=10, help="of each recording")
    parser.add_argument("--saturate", action="store_true", help="as fast as there are answers")
    arguments = parser.parse_args()
    console = plain_console()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="profile-") as folder,
            rig_in(Path(folder), console, quick=False) as rig,
        ):
            _profile(rig, Mix(arguments.metrics), arguments.seconds, full=arguments.saturate)
    except (BenchError, InstallError, ServerError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    for name in ("gateway", "worker"):
        profile = read_stacks((_FOLDER / f"profile-{name}.txt").read_text())
        _show(console, name, profile, arguments.seconds * _SAMPLES_PER_S)
    return 0


def _profile(rig: Rig, mix: Mix, seconds: int, *, full: bool) -> None:
    with pipeline(rig, "profile") as ours, ThreadPoolExecutor(max_workers=1) as pool:
        services = {"gateway": ours.gateway, "worker": ours.worker}
        rig.report.begin("profile", "Profile")
        duration_s = _WARM_UP_S + 2 * (seconds + _MARGIN_S)
        recording = pool.submit(_record_all, rig, services, seconds)
        rig.say(f"profile: {mix}, {duration_s} s of load")
        if full:
            rig.loaded(ours.url, mix, duration_s)
        else:
            ours.steady(rig, mix, _WARM_UP_S, duration_s - _WARM_UP_S)
        recording.result()
        ours.await_drained()


def _record_all(rig: Rig, services: dict[str, Service], seconds: int) -> None:
    """After the warm-up, record stacks of all processes at the same time, and then flame graphs."""
    time.sleep(_WARM_UP_S)
    _FOLDER.mkdir(exist_ok=True)
    for form, suffix in (("raw", "txt"), ("flamegraph", "svg")):
        rig.say(f"profile: recording, {seconds} s")
        recorders = []
        for name, service in services.items():
            file = _FOLDER / f"profile-{name}.{suffix}"
            file.unlink(missing_ok=True)
            command = [
                str(Path(sys.executable).with_name("py-spy")), "record", "--gil", "--function",
                "--pid", str(pid_of(service)), "--duration", str(seconds),
                "--rate", str(_SAMPLES_PER_S), "--format", form, "--output", str(file),
            ]  # fmt: skip
            recorders.append(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
        for recorder in recorders:
            output, _ = recorder.communicate()
            if recorder.returncode:
                raise BenchError(f"py-spy failed: {output}")


def _show(console: Console, name: str, profile: Profile, looks: int) -> None:
    busy = f"Python was busy in {profile.samples / looks:.0%} of {looks:,} looks"
    title = f"\n{name}: {busy}; {_FOLDER}/profile-{name}.svg"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("own", "function", "with calls", "function"):
        table.add_column(column, overflow="fold", justify="left")
    tops = (profile.top(profile.own, _TOP), profile.top(profile.inclusive, _TOP))
    for (own, own_share), (all_of, share) in zip(*tops, strict=False):
        table.add_row(f"{own_share:.1%}", own, f"{share:.1%}", all_of)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
