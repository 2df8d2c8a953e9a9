"""What is stored, for the ledger: by GET, as users see it, and by looking into the database."""

from typing import Any

import aiohttp
from pymongo import MongoClient

from ingest.contract.documents import CUSTOM_INFO, SEGMENTS, TAGS, segment_runs
from tests.harness.ledger import Item, items_of
from tests.harness.load import RESOURCE_GROUP

Found = dict[str, list[tuple[Item, float | str]]]

_OK = 200
_NOT_FOUND = 404
_IDS_PER_QUERY = 10


class UnreadableError(Exception):
    """A GET was answered with neither 200 nor 404."""


async def stored_by_get(url: str, executions: list[str], *, token: str = "") -> Found:
    """Return what a gateway shows of some executions, to whoever has the token.

    Raises:
        UnreadableError, aiohttp.ClientError, TimeoutError: it does not show it now.
    """
    found: Found = {}
    headers = {"AI-Resource-Group": RESOURCE_GROUP}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with aiohttp.ClientSession(headers=headers) as session:
        for start in range(0, len(executions), _IDS_PER_QUERY):
            ids = ",".join(executions[start : start + _IDS_PER_QUERY])
            async with session.get(url + "/lm/metrics", params={"executionIds": ids}) as answer:
                if answer.status == _NOT_FOUND:
                    continue
                if answer.status != _OK:
                    raise UnreadableError(f"{answer.status} {await answer.text()}")
                for resource in (await answer.json())["resources"]:
                    found[resource["executionId"]] = list(items_of(resource))
    return found


def stored_in_database(url: str, name: str) -> Found:
    """Return what lies in the database, unmerged: what was written twice is there twice.

    In a snapshot, or else what compaction replaces meanwhile would be seen before and after.
    """
    found: Found = {}

    def note(key: str, section: str, items: list[dict[str, Any]]) -> None:
        resource_group, _, execution_id = key.partition("/")
        if resource_group == RESOURCE_GROUP:
            found.setdefault(execution_id, []).extend(items_of({section: items}))

    with (
        MongoClient[dict[str, Any]](url) as client,
        client.start_session(snapshot=True) as session,
    ):
        database = client[name]
        for segment in database[SEGMENTS].find(session=session):
            for _, points in segment_runs(segment):
                note(segment["resource"], "metrics", points)
        for collection, section in ((TAGS, "tags"), (CUSTOM_INFO, "customInfo")):
            for named in database[collection].find(session=session):
                item = {"name": named["name"], "value": named["entry"]["value"]}
                note(named["resource"], section, [item])
    return found
