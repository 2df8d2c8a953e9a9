"""What the worker writes to the database, and what its errors mean for a batch."""

import asyncio
from collections.abc import Iterable
from typing import Any

from bson.errors import BSONError
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DocumentTooLarge

from ingest.contract.documents import RESOURCES, SEGMENTS, Document, resource_upsert
from ingest.runtime.database import DATABASE_ERRORS, Database, prepare_database, why_away
from worker.known import KnownResources
from worker.prepare import Writes

_DUPLICATE_KEY = 11000
# Errors of single writes that the same document would meet for ever; by the names of the server's
# error_codes.yml. Any other error, also one that is not known here, is tried again: blocking is
# noticed and loses nothing, while a dead letter breaks a promise.
_PERMANENT_CODES = frozenset(
    {
        2,  # BadValue
        9,  # FailedToParse
        14,  # TypeMismatch
        28,  # PathNotViable
        52,  # DollarPrefixedFieldName
        57,  # DottedFieldName
        121,  # DocumentValidationFailure
        10334,  # BSONObjectTooLarge
        17280,  # KeyTooLong
        17419,  # the document would become too large
        17420,  # the document is too large
    }
)
# Upserts that collide with others' find their document the next time. Should they not, something
# else is wrong with them.
_MAX_COLLISIONS = 5


class TryLaterError(Exception):
    """The database could not take the writes now; they may have been applied in part."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}"[:500])
        self.kind = kind


class RefusedError(Exception):
    """The database will never take one of the writes."""


class Store:
    """The database as the worker uses it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = KnownResources()

    async def prepare(self) -> None:
        """Create the collections and indexes that are missing.

        Raises:
            TryLaterError: the database is away.
        """
        try:
            await prepare_database(self._database)
        except DATABASE_ERRORS as error:
            raise TryLaterError(type(error).__name__, why_away(error)) from error

    async def apply(self, writes: Writes) -> int:
        """Write everything; returns how many segments had been written before.

        When this returns, the writes are in the journals of a majority. Segments come last, so
        that a visible segment means that the tags and custom info it came with are there too.

        Raises:
            TryLaterError: nothing is known about the writes; repeat them all.
            RefusedError: at least one write is impossible.
        """
        new = self._known.unknown(writes.created)
        # All are waited for, also if one fails: nothing of a batch may still be on its way when
        # it is tried again or given up.
        results = await asyncio.gather(
            self._insert(writes.segments),
            self._upsert(RESOURCES, [resource_upsert(*one) for one in new.items()]),
            *(self._upsert(name, upserts) for name, upserts in writes.upserts.items()),
            return_exceptions=True,
        )
        errors = [one for one in results if isinstance(one, BaseException)]
        if errors:
            # Whether a write is impossible can wait until the database is there.
            raise next((one for one in errors if isinstance(one, TryLaterError)), errors[0])
        self._known.note(new)
        duplicates = sum(one for one in results if isinstance(one, int))
        return duplicates + await self._insert(writes.last)

    async def _insert(self, documents: list[Document]) -> int:
        """Insert documents; one that is there already was inserted by an earlier delivery."""
        failed = await self._write(SEGMENTS, [InsertOne(one) for one in documents])
        return len(failed)

    async def _upsert(self, collection: str, upserts: list[Any]) -> int:
        operations = [UpdateOne(condition, update, upsert=True) for condition, update in upserts]
        # Two workers that insert one document at the same time: one of them fails, and finds
        # the document there the next time.
        for _ in range(_MAX_COLLISIONS):
            failed = await self._write(collection, operations)
            if not failed:
                return 0
            operations = [operations[index] for index in failed]
        raise RefusedError(f"duplicate keys in {collection}, over and over")

    async def _write(self, collection: str, operations: list[Any]) -> list[int]:
        """Write in no order; returns the indexes of those that failed by a duplicate key."""
        if not operations:
            return []
        try:
            await self._database[collection].bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            return _duplicates(error.details)
        except (BSONError, DocumentTooLarge, OverflowError, TypeError, ValueError) as error:
            raise RefusedError(f"{type(error).__name__}: {error}"[:500]) from error
        except DATABASE_ERRORS as error:
            raise TryLaterError(type(error).__name__, str(error)) from error
        return []


def _duplicates(details: Any) -> list[int]:
    """Return the indexes of duplicates; raise if anything else went wrong."""
    errors: Iterable[Any] = details.get("writeErrors", ())
    others = [one for one in errors if one.get("code") != _DUPLICATE_KEY]
    for one in others:
        if one.get("code") in _PERMANENT_CODES:
            raise RefusedError(f"code {one.get('code')}: {one.get('errmsg', '')}"[:500])
    unconfirmed = [*others, *details.get("writeConcernErrors", ())]
    if unconfirmed:
        first = unconfirmed[0]
        raise TryLaterError(f"code {first.get('code')}", str(first.get("errmsg", "")))
    return [one["index"] for one in details.get("writeErrors", ())]
