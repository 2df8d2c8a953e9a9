"""A process from its environment to its exit code."""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from typing import Any, NoReturn, Protocol, TypeVar

import uvloop

from ingest.runtime.logs import start_logging
from ingest.runtime.settings import SettingsError, load
from ingest.runtime.urls import insecure_options

log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_SETTINGS = 2
# What draining may take beyond its limit, to close connections. Then something hangs.
_DRAIN_MARGIN_S = 8.0
_M_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE_BYTES = 1024 * 1024
# Objects that are made and not yet freed, after which Python looks for cycles among the youngest.
_CYCLE_THRESHOLD = 20_000


class DrainingSettings(Protocol):
    """The settings of a process that drains."""

    @property
    def log_level(self) -> str:
        """The level from which it logs."""

    @property
    def drain_timeout_s(self) -> float:
        """How long it may take to finish what it has begun."""


S = TypeVar("S")
D = TypeVar("D", bound=DrainingSettings)
Run = Callable[[asyncio.Event], Awaitable[None]]


def settings_or_exit(settings_class: type[S]) -> S:
    """Read settings from the environment; exits with 2 if one is missing or wrong."""
    try:
        return load(settings_class, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"Cannot start, the settings need a change:\n{error}\n")
        sys.exit(EXIT_SETTINGS)


def run_process(settings_class: type[D], make: Callable[[D], Run]) -> None:
    """Run a process until SIGTERM or SIGINT, which set the event its coroutine is given.

    `make` is called inside the event loop. Exits with 0 after draining, 1 if the process could
    not start, got a second signal or does not end when its time to drain is long over, 2 if a
    setting is missing or wrong.
    """
    settings = settings_or_exit(settings_class)
    start_logging(settings.log_level)
    _warn_of_insecure_options(settings)
    _return_large_memory()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end() -> None:
            if stop.is_set():  # a second signal does not wait for the drain
                exit_now(EXIT_FAILED)
            stop.set()
            loop.call_later(settings.drain_timeout_s + _DRAIN_MARGIN_S, overdue)

        def overdue() -> None:
            log.error("does not end: cut off")
            exit_now(EXIT_FAILED)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        run = make(settings)
        _look_for_cycles_seldom()
        await run(stop)

    failures: list[str] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(main())
        except* OSError as group:
            failures += [str(error) or repr(error) for error in leaves(group)]
        except* Exception as group:
            log.exception("a bug ended the process")
            failures += [repr(error) for error in leaves(group)]
        if failures:
            log.error("cannot go on", extra={"reason": "; ".join(failures)})
        # Inside the block, whose end would wait for connections that a silent peer does not let go.
        exit_now(EXIT_FAILED if failures else 0)


def _warn_of_insecure_options(settings: Any) -> None:
    for item in fields(settings):
        if item.metadata["rule"].secret:  # a URL, as it may hold a password
            for option in insecure_options(getattr(settings, item.name)):
                log.warning(
                    "an option lets anyone pose as the server",
                    extra={"variable": item.metadata["variable"], "option": option},
                )


def _look_for_cycles_seldom() -> None:
    """Have Python look for reference cycles less often, and never among what lives for ever.

    With its defaults, made for small programs, a busy process does it for each handful of requests,
    and stops for up to 20 ms when it looks through all modules as well.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_CYCLE_THRESHOLD, *gc.get_threshold()[1:])


def _return_large_memory() -> None:
    """Have glibc give large blocks back to the system as soon as they are free.

    By default its threshold grows to 32 MB with the blocks it sees, and then bodies and batches of
    16 MB stay behind in the heaps of all threads (mallopt(3)). Another libc has no such call.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def exit_now(code: int) -> NoReturn:
    """End at once, with what was written: a driver may wait for a silent peer for long.

    Call it before the event loop's end, which would wait as well.
    """
    for flush in (logging.shutdown, sys.stdout.flush, sys.stderr.flush):
        with suppress(OSError, ValueError):  # nobody reads it any longer
            flush()
    os._exit(code)


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the exceptions of a group and of the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
