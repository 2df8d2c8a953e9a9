"""The command `compact`: go through all resources, or some, and compact each."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import uvloop
from rich.console import Console

from ingest.contract.message import resource_key
from ingest.runtime.database import DATABASE_ERRORS, open_client, prepare_database, why_away
from ingest.runtime.interrupt import EXIT_INTERRUPTED, stopped_by_signals
from ingest.runtime.logs import start_logging
from ingest.runtime.process import EXIT_FAILED, exit_now, settings_or_exit
from ingest.runtime.progress import Progress
from ingest.runtime.settings import DatabaseSettings
from worker.compaction.store import CompactionStore

_DATABASE_TIMEOUT_S = 10.0
# What the server takes for a group of segments, and for the hidden segments of a whole resource.
_ANSWER_TIMEOUT_S = 120.0


@dataclass(slots=True)
class _Tally:
    resources: int = 0
    fewer: int = 0
    hidden: int = 0


def run_sweep(resource_group: str | None, execution_id: str | None) -> int:
    """Compact; returns the exit code."""
    settings = settings_or_exit(DatabaseSettings)
    start_logging(settings.log_level, sys.stderr)
    tally = _Tally()

    async def main() -> int:
        stop = asyncio.Event()
        client = open_client(
            settings.mongodb_url, "compact", _DATABASE_TIMEOUT_S, _ANSWER_TIMEOUT_S
        )
        database = client[settings.mongodb_database]
        try:
            with stopped_by_signals(stop):
                await prepare_database(database)
                await _sweep(CompactionStore(database), resource_group, execution_id, stop, tally)
        except DATABASE_ERRORS as error:
            _say(tally)
            sys.stderr.write(f"Failed: {why_away(error)}\n")
            return EXIT_FAILED
        _say(tally)
        return EXIT_INTERRUPTED if stop.is_set() else 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(main())
        # Inside the block, whose end would wait for a database that has become silent.
        exit_now(code)


async def _sweep(
    store: CompactionStore,
    resource_group: str | None,
    execution_id: str | None,
    stop: asyncio.Event,
    tally: _Tally,
) -> None:
    with Progress(Console(stderr=True), "compacting", "resources") as progress:
        total, keys = await _keys(store, resource_group, execution_id)
        async for key in keys:
            tally.hidden += await store.remove_deleted(key)
            async for fewer in store.compact(key):
                tally.fewer += fewer
                if stop.is_set():
                    return
            tally.resources += 1
            progress.show(tally.resources, total)
            if stop.is_set():
                return


async def _keys(
    store: CompactionStore, resource_group: str | None, execution_id: str | None
) -> tuple[int, AsyncIterator[str]]:
    if execution_id is not None:
        return 1, _one(resource_key(resource_group or "", execution_id))
    prefix = f"{resource_group}/" if resource_group else ""
    return await store.count(prefix), store.keys(prefix)


async def _one(key: str) -> AsyncIterator[str]:
    yield key


def _say(tally: _Tally) -> None:
    sys.stdout.write(
        f"{tally.resources:,} resources looked at: {tally.fewer:,} segments fewer, "
        f"{tally.hidden:,} removed that deletions had hidden\n"
    )
