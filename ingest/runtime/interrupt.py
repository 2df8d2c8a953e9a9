"""Commands that SIGINT and SIGTERM end: in good order, or at once if there is none to keep."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Have SIGINT and SIGTERM set an event inside the block; a second one ends the process."""

    def end() -> None:
        if stop.is_set():  # a second signal waits for nothing
            os._exit(EXIT_INTERRUPTED)
        stop.set()

    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in before:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)  # uvloop does not, and a question must be interruptible


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have SIGINT and SIGTERM end the process at once inside the block, whatever it waits for.

    The event loop is not asked: while it writes to a pipe that nobody reads, it has no turn.
    """

    def end(*_: object) -> None:
        os._exit(EXIT_INTERRUPTED)

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
