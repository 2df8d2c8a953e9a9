"""How bytes are changed so that most of them get past the first check.

atheris sees the coverage of our Python only: orjson and jsonschema-rs are compiled. Bytes that are
changed at random are no longer JSON, and end there. So JSON is changed as JSON, and what is
compressed as what it holds; one time in four bytes stay bytes.
"""

import gzip
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from ingest.contract.message import encode_message
from tests.contract.strategies import MESSAGE_ID

# (bytes, seed of the random numbers, the fuzzer's own mutation of bytes) -> bytes
Mutation = Callable[[bytes, random.Random, Callable[[bytes], bytes]], bytes]

NAMES = (
    "executionId", "metrics", "tags", "customInfo", "createdAt", "modifiedAt", "name", "value",
    "timestamp", "step", "labels", "version", "id", "entries", "sequence", "requestId",
    "resourceGroup", "resource", "lengths", "x",
)  # fmt: skip
_TEXTS = (
    "", "a", "abcd", "Error Rate", "é", "\N{ROCKET}", "x" * 64, "x" * 65, "x" * 256, "x" * 257,
    "\0", "a/b", "~", "$", ".", "2020-11-12T12:18:01.539Z", "2016-12-31T23:59:60Z",
    "2024-02-29t00:00:00.123456789+23:59", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
    "0000-02-29T23:59:59.9999999999-23:59", "2020-11-12T12:18:0-.539Z", "1900-02-29T00:00:00Z",
    "000102030405060708090a0b",
)  # fmt: skip
_NUMBERS = (
    0, 1, -1, 2, 1.0, -0.0, 0.5, 1.5, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, float(2**63),
    1e-320, 1e300, 1_700_000_000_000_000_000,
)  # fmt: skip
_LISTS: tuple[Callable[[], Any], ...] = (
    list, dict, lambda: [[]],
    lambda: {"name": "n", "value": "v"}, lambda: {"name": "n", "value": 1},
    lambda: [{"name": "n", "value": "v"}] * 21, lambda: [{"name": "n", "value": 1}] * 3,
)  # fmt: skip
_SPLICES = (
    b"\xff", b"\xed\xa0\x80", rb"\ud800", rb"\u0000", b"1e400", b"NaN", b"18446744073709551616",
    b"9223372036854775808", b"1.0e0", b"-0", b'"name":"n",', b"[" * 300, b"]" * 300, b"null", b"\0",
    b" ", b",", b"}", b'"',
)  # fmt: skip


def mutate_json(sent: bytes, rng: random.Random, by_bytes: Callable[[bytes], bytes]) -> bytes:
    """Change a value inside JSON, or else the bytes."""
    kind = rng.randrange(8)
    if kind == 0:
        return by_bytes(sent)
    if kind == 1:
        place = rng.randrange(len(sent) + 1)
        return sent[:place] + rng.choice(_SPLICES) + sent[place + rng.randrange(3) :]
    try:
        value = [orjson.loads(sent)]
    except ValueError:
        return by_bytes(sent)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(value, rng)
    try:
        return orjson.dumps(value[0] if value else None)
    except ValueError:
        return by_bytes(sent)


def _change(root: list[Any], rng: random.Random) -> None:
    """Change one place of a JSON value."""
    owner, key = rng.choice(list(_places(root)) or [(root, 0)])
    kind = rng.randrange(7)
    if not root:
        root.append(_new(rng))
    elif kind == 0:
        del owner[key]
    elif kind == 1 and isinstance(owner, dict):
        owner[rng.choice(NAMES)] = _new(rng)
    elif kind == 1:
        owner.insert(key, _copy(owner[key]))
    elif kind == 2:  # what stands here stands elsewhere, too
        other, at = rng.choice(list(_places(root)))
        owner[key] = _copy(other[at])
    elif kind == 3 and isinstance(owner[key], str) and owner[key]:
        owner[key] = _changed_text(owner[key], rng)
    elif kind == 4 and isinstance(owner[key], list) and owner[key]:
        owner[key] = (owner[key] * rng.choice((2, 20, 101)))[:1001]
    else:
        owner[key] = _new(rng)


def _changed_text(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text))
    if rng.randrange(4) == 0:
        return text * rng.choice((2, 16, 256))
    character = rng.choice("0123456789-+:.TtZz aé_/\0")
    return text[:place] + character + text[place + rng.randrange(2) :]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (owner, key or index) of some 1000 values at most."""
    waiting = [value]
    for number, owner in enumerate(waiting):
        keys = list(owner) if isinstance(owner, dict) else range(len(owner))
        for key in keys:
            yield owner, key
            if isinstance(owner[key], dict | list) and number < 100:
                waiting.append(owner[key])


def _new(rng: random.Random) -> Any:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(_LISTS)()
    return rng.choice((_TEXTS, _NUMBERS, (None, True, False))[kind - 1])


def _copy(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value))


def mutate_compressed(sent: bytes, rng: random.Random, by_bytes: Callable[[bytes], bytes]) -> bytes:
    """Change what compressed bytes hold, in which way they hold it, or else the bytes."""
    kind = rng.randrange(5)
    if kind == 0:
        return by_bytes(sent)
    plain = sent
    for bits in (32 + zlib.MAX_WBITS, -zlib.MAX_WBITS):
        try:
            plain = zlib.decompressobj(bits).decompress(sent, 1 << 17)
            break
        except zlib.error:
            continue
    if kind == 1:
        plain = by_bytes(plain)
    elif kind == 2:
        plain = plain[:500] * rng.choice((2, 3, 100, 1000))
    encoded = rng.choice((gzip.compress, zlib.compress, _raw, bytes))(plain)
    if rng.randrange(4) == 0:
        encoded *= rng.choice((2, 15, 16, 17))
    return encoded


def _raw(plain: bytes) -> bytes:
    return zlib.compress(plain, wbits=-zlib.MAX_WBITS)


def mutate_bytes(sent: bytes, _: random.Random, by_bytes: Callable[[bytes], bytes]) -> bytes:
    """Leave it to the fuzzer, which knows the dictionary."""
    return by_bytes(sent)


def mutate_message(sent: bytes, rng: random.Random, by_bytes: Callable[[bytes], bytes]) -> bytes:
    """Change a message as JSON; every other time the lengths of its entries are right again."""
    changed = mutate_json(sent, rng, by_bytes)
    if rng.randrange(2):
        return changed
    try:
        entries = orjson.loads(changed)["entries"]
        return encode_message(MESSAGE_ID, [orjson.dumps(entry) for entry in entries])
    except (LookupError, TypeError, ValueError):
        return changed


MUTATIONS: dict[str, Mutation] = {
    "parse": mutate_json,
    "message": mutate_message,
    "body": mutate_compressed,
    "query": mutate_bytes,
}
