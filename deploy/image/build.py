"""Build the image with buildah, on a base that debootstrap makes: no engine and no registry.

The base stands for the one that the Dockerfile names: Debian of the same release, with its Python.
Everything is kept in one folder, and made anew when that is removed.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

DOCKERFILE = Path("deploy/Dockerfile")
IMAGE = "localhost/metric-ingest:check"
_PACKAGES = "python3,python3-venv,ca-certificates"
_AUTHORITIES = Path("etc/ssl/certs/ca-certificates.crt")
_BUILD_TIMEOUT_S = 3600


class ImageError(Exception):
    """The image could not be built, or is not as it must be; the message says what is wrong."""


class Builder:
    """A store of images in a folder, and what is done with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)

    def build(self) -> None:
        """Build the image from the Dockerfile in the current folder."""
        base, suite = base_image(DOCKERFILE.read_text())
        if not self._has(base):
            self._make_base(base, suite)
        print(f"building {IMAGE} from {DOCKERFILE} ...", flush=True)
        options = ["--isolation", "chroot", "--pull-never", "--layers=false", "--no-cache"]
        self.buildah("bud", *options, "--file", str(DOCKERFILE), "--tag", IMAGE, ".")
        self.buildah("rmi", "--prune")  # the image that had the name before

    def _has(self, image: str) -> bool:
        listed = json.loads(self.buildah("images", "--json") or "[]") or []
        return any(image in (one.get("names") or ()) for one in listed)

    def _make_base(self, image: str, suite: str) -> None:
        """Make the base image: a Debian with Python, and the authorities trusted here."""
        print(f"making a base for {image} with debootstrap ({suite}) ...", flush=True)
        root = self.folder / "base"
        if root.exists():
            shutil.rmtree(root)
        _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", suite, str(root))
        # Behind a proxy with an authority of its own, packages come through that.
        own = Path(os.environ.get("SSL_CERT_FILE", "/") or "/")
        trusted = own if own.is_file() else Path("/") / _AUTHORITIES
        shutil.copyfile(trusted, root / _AUTHORITIES)
        container = self.buildah("from", "scratch").strip()
        self.buildah("add", "--quiet", container, str(root), "/")
        self.buildah("commit", "--quiet", "--rm", container, image)
        shutil.rmtree(root)

    def configuration(self) -> dict[str, Any]:
        """Return the image's configuration, as the OCI specification has it."""
        inspected = json.loads(self.buildah("inspect", "--type", "image", IMAGE))
        found: dict[str, Any] = inspected["OCIv1"]["config"]
        return found

    def unpack(self) -> tuple[str, Path]:
        """Return a container of the image, and where its files are until `remove`."""
        container = self.buildah("from", "--pull-never", IMAGE).strip()
        return container, Path(self.buildah("mount", container).strip())

    def remove(self, container: str) -> None:
        """Remove a container."""
        self.buildah("umount", container)
        self.buildah("rm", container)

    def buildah(self, command: str, *arguments: str) -> str:
        """Run buildah on the store; returns what it prints."""
        store = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        return _run("buildah", *store, "--storage-driver", "vfs", command, *arguments)


def base_image(dockerfile: str) -> tuple[str, str]:
    """Return the one base image that a Dockerfile names, as buildah finds it, and its Debian."""
    named = set(re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE))
    if len(named) != 1:
        raise ImageError(f"the stages have different bases: {named}")
    (name,) = named
    return f"localhost/{name}", name.rpartition("-")[2]


def _run(*command: str) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_TIMEOUT_S,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise ImageError(f"{' '.join(command)} failed:\n{tail}")
    return done.stdout
