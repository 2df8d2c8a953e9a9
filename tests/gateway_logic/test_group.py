"""A group: what is remembered of its entries for the reads that follow."""

import asyncio

import pytest

from ingest.group import Group
from ingest.visibility import Accepted


async def test_a_resource_is_known_by_its_first_entry_and_its_last_update() -> None:
    group = Group(1, b"test", deadline=0.0)
    # Which update of a group is added last doesn't matter: a large body takes its time.
    for key, sequence in (("group/a", 30), ("group/b", 20), ("group/a", 40), ("group/a", 10)):
        group.add(key, sequence, b"{}", asyncio.get_running_loop().create_future())
    assert group.resources == {"group/a": Accepted(0, 40), "group/b": Accepted(1, 20)}
    assert len(group) == 4


@pytest.mark.parametrize("sizes", [[2], [2] * 500, [16_000_000], [1_000_000] * 12], ids=len)
async def test_its_message_is_never_larger_than_it_says(sizes: list[int]) -> None:
    group = Group(2**63, b"test", deadline=0.0)
    said = 0
    for size in sizes:
        # Whether an entry still has room is asked before it is in.
        said = group.bytes + size
        group.add("group/a", 1, b"x" * size, asyncio.get_running_loop().create_future())
    assert len(group.message()) <= said
