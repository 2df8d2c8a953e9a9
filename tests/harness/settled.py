"""Whether the promise was kept, once all that was accepted had time to be stored."""

import asyncio
from collections.abc import Iterable

import aiohttp

from tests.harness.ledger import Verdict
from tests.harness.load import Load
from tests.harness.services import Gateway, Site
from tests.harness.stored import UnreadableError, stored_by_get, stored_in_database

# Within this time after the load has ended everything must be applied.
DRAINED_DEADLINE_S = 120
_PAUSE_S = 0.1


async def load_settled(load: Load, site: Site, gateways: Iterable[Gateway]) -> Verdict:
    """Wait until all that was accepted is stored, at most for the deadline; returns the verdict.

    What users see is checked, through each of the gateways, and what lies in the database.
    """
    deadline = asyncio.get_running_loop().time() + DRAINED_DEADLINE_S
    while True:
        stored = await asyncio.to_thread(stored_in_database, site.database_url, site.database_name)
        verdict = load.ledger.check(stored)
        # An update that was never answered may be applied just now, and be there in part.
        if not (verdict.lost or verdict.torn) or asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(_PAUSE_S)
    for gateway in gateways:
        if not verdict:
            break
        try:
            verdict = load.ledger.check(await stored_by_get(gateway.url, load.executions))
        except (UnreadableError, aiohttp.ClientError, TimeoutError) as error:
            verdict.lost.append(f"everything, by GET: {error!r}")
    return verdict
