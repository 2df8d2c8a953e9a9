"""Where fuzzing begins: the examples of the other tests, and what was kept."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from ingest.contract.message import encode_entry, encode_message
from tests.api.refusal import ID
from tests.api.test_bad_input import NOT_A_RESOURCE, NOT_VALID
from tests.contract.strategies import FIRST_SEQUENCE, MESSAGE_ID
from tests.contract.test_decode import POISON
from tests.contract.test_golden import GOLDEN
from tests.fuzz.mutation import NAMES
from tests.harness.client import EXAMPLE

KEPT = Path(__file__).parent / "kept"
_QUERIES = (
    "executionIds=run-1,run-2&$select=metrics,tags&$top=10&$skip=2147483647",
    "$filter=executionId%20in%20('run-1',%20'run-2')&$select=*",
    "$filter=executionId eq 'run-1'&tagFilters=a%3Db,c!%3Dd,e",
    "tagFilters=a%252Cb%3D%2520c%252521,name%21=value,%25ff&executionId=abcd&$top=0&$skip=-1",
)
_WORDS = (
    *NAMES, "executionIds", "$filter", "$select", "$top", "$skip", "tagFilters", " eq ", " in (",
    "%25", "%2C", "%3D", "%21", "'", "!=", "&", "=", ",", "*", "application/json;", "charset=utf-8",
    "application/merge-patch+json", "0123456789", "10000", "2147483647",
)  # fmt: skip


def seeds(target: str) -> Iterator[bytes]:
    """Yield the first inputs of a target."""
    resources = [EXAMPLE, {"executionId": ID}]
    resources += [{"executionId": ID} | fields for fields, _ in NOT_VALID.values()]
    bodies = [json.dumps(one).encode() for one in resources]
    if target == "parse":
        yield from (one for one in bodies if len(one) < 2000)
        yield from (json.dumps(one).encode() for one, _ in NOT_A_RESOURCE.values())
    elif target == "message":
        entries = [
            encode_entry(FIRST_SEQUENCE + n, "request", "default", bodies[n]) for n in (0, 1)
        ]
        yield encode_message(MESSAGE_ID, entries)
        for poison in POISON.values():
            yield encode_message(MESSAGE_ID, [json.dumps(poison).encode(), entries[1]])
        yield from (path.read_bytes() for path in sorted(GOLDEN.glob("message-*")))
    elif target == "body":
        for compress in (gzip.compress, zlib.compress, bytes):
            yield compress(bodies[0])
        yield gzip.compress(b"x") * 3
        yield b"application/json; charset=utf-8"
    else:
        yield from (one.encode() for one in _QUERIES)
    yield from (path.read_bytes() for path in sorted((KEPT / target).glob("*")))


def dictionary() -> str:
    """Return the words that the fuzzer should know, as libFuzzer reads them."""
    return "".join(f'"{word}"\n' for word in _WORDS)
