"""A group: what is remembered of its entries for the reads that follow."""

import asyncio

from ingest.group import Group
from ingest.visibility import Accepted


async def test_a_resource_is_known_by_its_first_entry_and_its_last_update() -> None:
    group = Group(1, b"test", deadline=0.0)
    # Which update of a group is added last doesn't matter: a large body takes its time.
    for key, sequence in (("group/a", 30), ("group/b", 20), ("group/a", 40), ("group/a", 10)):
        group.add(key, sequence, b"{}", asyncio.get_running_loop().create_future())
    assert group.resources == {"group/a": Accepted(0, 40), "group/b": Accepted(1, 20)}
    assert len(group) == 4
