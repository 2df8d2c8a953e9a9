"""One at a time: a lock that the kernel gives back when its holder ends in whatever way."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockedError(Exception):
    """Somebody else holds the lock."""


@contextmanager
def exclusive(file: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of this file inside the block. Raises LockedError if it is held and not `wait`.

    The Makefile asks for the same lock with flock(1).
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise LockedError(file) from None
        yield
