"""What a worker's store makes of writes that fail: what it writes after them, and what it says."""

import pytest

from ingest.contract.documents import SEGMENTS, TAGS
from tests.compaction.bench import Bench
from tests.harness.services import Site
from tests.queue.test_poison import entry, message
from worker.store import RefusedError


async def test_no_segment_is_visible_before_the_tags_that_came_with_it(site: Site) -> None:
    async with Bench.open(site.database_url, site.database_name) as bench:
        await bench.database.command("collMod", TAGS, validator={"name": {"$ne": "forbidden"}})
        tags = [{"name": "forbidden", "value": "v"}]
        metrics = [{"name": "loss", "value": 1, "step": 1}]
        with pytest.raises(RefusedError):
            await bench.apply(message(entry("a-run", tags=tags, metrics=metrics)))
        assert await bench.database[SEGMENTS].count_documents({}) == 0


async def test_an_upsert_that_meets_another_document_of_its_id_does_not_pass_for_stored(
    site: Site,
) -> None:
    """One that another worker has just inserted is there at the next try; this one never is."""
    async with Bench.open(site.database_url, site.database_name) as bench:
        stranger = {"_id": "default/a-run/state", "resource": "default/another"}
        await bench.database[TAGS].insert_one(stranger)
        tags = [{"name": "other", "value": "new"}, {"name": "state", "value": "new"}]
        with pytest.raises(RefusedError, match="duplicate keys in tags"):
            await bench.apply(message(entry("a-run", tags=tags)))
        assert await bench.database[SEGMENTS].count_documents({}) == 0
        await bench.database[TAGS].delete_one({"_id": stranger["_id"]})
        await bench.apply(message(entry("a-run", tags=tags)))
        (resource,) = await bench.read("default/a-run")
        assert resource["tags"] == tags
