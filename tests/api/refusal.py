"""Updates that must be refused, and the proof that nothing of them was kept."""

import io
from typing import Any

from tests.harness.client import Answer, Client
from tests.harness.services import Gateway

# The execution that every update in these tests is for.
ID = "never-stored"
OK = {"name": "n", "value": "v"}
MALFORMED, INVALID, PAYLOAD = (400, "02011001"), (400, "02011002"), (413, "02000005")


def metric(**fields: Any) -> dict[str, Any]:
    """Make a body's metrics: one, which the fields make wrong."""
    return {"metrics": [{"name": "n", "value": 1} | fields]}


async def refused(
    client: Client, gateway: Gateway, body: bytes, group: str = "refusals", **headers: str
) -> Answer:
    """Send what must be refused; return the answer once it is sure that nothing was kept."""
    counts = ("ingest_updates_accepted_total", "ingest_group_entries_sum")
    before = [gateway.metric(name) for name in counts]
    usual = {"AI-Resource-Group": group, "Content-Type": "application/json"}
    # A stream, as aiohttp warns about long bytes.
    answer = await client.request("PATCH", data=io.BytesIO(body), headers=usual | headers)
    assert [gateway.metric(name) for name in counts] == before
    return answer
