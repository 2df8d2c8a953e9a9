"""The laws of `make fuzz`: they hold for every kept file and every seed, and they can be broken."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from ingest import body, query_parameters
from ingest.budget import Budget
from ingest.contract import split
from ingest.contract.message import encode_message
from ingest.contract.parse import UpdateParser
from tests.contract.strategies import MESSAGE_ID
from tests.contract.test_decode import POISON
from tests.fuzz import updates, wire
from tests.fuzz.laws import LAWS
from tests.fuzz.mutation import MUTATIONS
from tests.fuzz.seeds import KEPT, seeds
from tests.harness.client import EXAMPLE
from tests.input import oracle
from worker import prepare

KEPT_FILES = [path for target in LAWS for path in sorted((KEPT / target).glob("*"))]
BODY = json.dumps(EXAMPLE).encode()


@pytest.mark.parametrize("path", KEPT_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_laws_hold_for_what_fuzzing_once_found(path: Path) -> None:
    LAWS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", LAWS)
def test_the_laws_hold_for_every_seed(target: str) -> None:
    for seed in seeds(target):
        LAWS[target](seed)


def test_every_target_has_a_way_to_be_changed_and_nothing_is_kept_for_another() -> None:
    assert MUTATIONS.keys() == LAWS.keys()
    assert {path.name for path in KEPT.iterdir()} <= LAWS.keys()


def accepts_anything(_: object, sent: bytes) -> Any:
    return json.loads(sent)


def test_accepting_too_much_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UpdateParser, "parse", accepts_anything)
    with pytest.raises(AssertionError, match="accepted, but wrong at"):
        updates.parse(b'{"executionId":"abcd","x":1}')


def test_refusing_too_much_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "MAX_STEP", 10**30)
    with pytest.raises(AssertionError):
        updates.parse(BODY.replace(b'"step": 2', b'"step": 9223372036854775808'))


def test_a_split_that_loses_something_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_part_only(*arguments: Any) -> list[bytes]:
        return split.split_resource(*arguments)[:1]

    monkeypatch.setattr(updates, "split_resource", first_part_only)
    with pytest.raises(AssertionError, match="split, it means something else"):
        updates.parse(BODY)


def test_a_dead_letter_that_lost_its_entry_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned = next(iter(POISON.values()))
    message = encode_message(MESSAGE_ID, [json.dumps(poisoned).encode()])
    updates.message(message)
    empty = encode_message(MESSAGE_ID, [])
    monkeypatch.setattr(prepare, "_message_of_one", lambda *_: empty)
    with pytest.raises((AssertionError, ValueError)):
        updates.message(message)


def test_decompression_without_limit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(wire.MAX_BODY_BYTES + 1))
    wire.body(bomb)
    monkeypatch.setattr(
        wire, "_reader", lambda: body.BodyReader(1 << 30, Budget("bytes", 1 << 30, 1 << 30), 1.0)
    )
    with pytest.raises(AssertionError):
        wire.body(bomb)


def test_a_body_that_is_not_what_its_encoding_says_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    either_header = 32 + zlib.MAX_WBITS
    monkeypatch.setattr(body, "_GZIP", either_header)
    with pytest.raises((AssertionError, OSError)):
        wire.body(zlib.compress(b"x"))


def test_a_query_beyond_its_limits_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_parameters, "MAX_EXECUTION_IDS", 11)
    ids = ",".join(f"run-{number}" for number in range(11))
    with pytest.raises(AssertionError):
        wire.query(f"executionIds={ids}".encode())
