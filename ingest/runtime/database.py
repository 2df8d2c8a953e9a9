"""The database client. With `urls` and the two stores, the only modules that know the driver.

motor is in maintenance; its successor, PyMongo's own asynchronous API, has the same calls.
"""

from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo.errors import OperationFailure, PyMongoError

from ingest.contract.documents import COLLECTIONS, INDEXES
from ingest.runtime.urls import WRITE_CONCERN

# Whatever the driver raises when the database is away, has no primary, or refuses an operation.
DATABASE_ERRORS = (PyMongoError,)

# Stored points repeat names, labels and the beginnings of timestamps: zstd needs about half of the
# disk of MongoDB's default, snappy.
_STORAGE_ENGINE = {"wiredTiger": {"configString": "block_compressor=zstd"}}

_NAMESPACE_EXISTS = 48  # of the server's error_codes.yml

Client = AsyncIOMotorClient[dict[str, Any]]
Database = AsyncIOMotorDatabase[dict[str, Any]]


def open_client(
    url: str,
    name: str,
    server_selection_timeout_s: float,
    socket_timeout_s: float,
    *,
    retry_writes: bool | None = None,
) -> Client:
    """Make a client; it connects when it is first used, and again whenever it has to.

    Writes are acknowledged by a majority of the replica set, from their journals: what was
    acknowledged survives the loss of any minority. An operation for which no server is found in
    `server_selection_timeout_s` raises, as does one that the server has not answered in
    `socket_timeout_s`. With `retry_writes` the driver tries a write once more after a change of
    primary; the server keeps a record of each write for that. None leaves it to the URL, whose
    default is to do so.
    """
    options: dict[str, Any] = {} if retry_writes is None else {"retryWrites": retry_writes}
    return AsyncIOMotorClient(
        url,
        appname=name,
        **WRITE_CONCERN,
        serverSelectionTimeoutMS=round(server_selection_timeout_s * 1000),
        connectTimeoutMS=5000,
        socketTimeoutMS=round(socket_timeout_s * 1000),
        **options,
    )


def why_away(error: Exception) -> str:
    """Say in a sentence why the database is away; the driver adds its whole configuration."""
    return str(error).partition(" (configured timeouts")[0][:300]


async def prepare_database(database: Database) -> None:
    """Create the collections and indexes that are missing. Safe to repeat, also by many at once.

    Returns once snapshots show them: the first ones after a collection was made do not.

    Raises:
        DATABASE_ERRORS: the database is away; call again.
    """
    for collection in COLLECTIONS:
        try:
            await database.create_collection(
                collection, check_exists=False, storageEngine=_STORAGE_ENGINE
            )
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise
    for collection, fields in INDEXES:
        await database[collection].create_index([(name, 1) for name in fields])
    async with await database.client.start_session(snapshot=True) as session:
        for collection in COLLECTIONS:
            await database[collection].find_one({}, {"_id": 1}, session=session)
