"""From 204 to visible: `python -m tests.bench.visibility PORT`.

A process of its own. It sends an update of an execution that nobody knows, and after its 204 looks
into the database, every millisecond, until the segment is there and a majority has it; then the
next. It goes on until its standard input ends, and prints the times in seconds as a JSON list.
MONGODB_URL and MONGODB_DATABASE are in the environment.
"""

import json
import os
import select
import sys
import time
from typing import Any
from uuid import uuid4

from pymongo import MongoClient
from pymongo.read_concern import ReadConcern

from ingest.contract.documents import SEGMENTS
from ingest.contract.message import resource_key
from tests.bench.bodies import RESOURCE_GROUP, run_updates
from tests.bench.latency import Connections

_PAUSE_S = 0.005
_POLL_S = 0.001
_DEADLINE_S = 30.0


def main() -> None:
    """Probe until told to end."""
    port = int(sys.argv[1])
    times_s = []
    with (
        MongoClient[dict[str, Any]](os.environ["MONGODB_URL"]) as client,
        Connections(port, number=1) as connection,
    ):
        segments = client[os.environ["MONGODB_DATABASE"]].get_collection(
            SEGMENTS, read_concern=ReadConcern("majority")
        )
        while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:
            execution_id = f"probe-{uuid4().hex}"
            key = resource_key(RESOURCE_GROUP, execution_id)
            connection.send_all(run_updates(execution_id, 1, 1))
            accepted = time.perf_counter()
            while segments.find_one({"resource": key}, {"_id": 1}) is None:
                if time.perf_counter() - accepted > _DEADLINE_S:
                    raise TimeoutError("not visible")
                time.sleep(_POLL_S)
            times_s.append(time.perf_counter() - accepted)
    sys.stdout.write(json.dumps(times_s))


if __name__ == "__main__":
    main()
