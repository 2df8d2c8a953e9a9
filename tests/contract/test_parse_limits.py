"""Every limit of the contract at its boundary."""

from typing import Any

import orjson
import pytest

from ingest.contract.parse import (
    InvalidUpdateError,
    PayloadTooLargeError,
    UpdateParser,
    check_resource_group,
)
from ingest.contract.violations import Violation
from tests.contract.strategies import Json

PARSER = UpdateParser()
SMILE = "\U0001f600"
PAIR = {"name": "a", "value": "b"}
METRIC = {"name": "a", "value": 1}


def update(**fields: Any) -> Json:
    return {"executionId": "abcd", **fields}


def violations(resource: Any, parser: UpdateParser = PARSER) -> list[Violation]:
    body = resource if isinstance(resource, bytes) else orjson.dumps(resource)
    try:
        parser.parse(body)
    except InvalidUpdateError as error:
        return error.violations
    return []


@pytest.mark.parametrize(
    ("pointer", "accepted", "refused"),
    [
        ("/metrics", update(metrics=[METRIC] * 1000), update(metrics=[METRIC] * 1001)),
        ("/tags", update(tags=[PAIR] * 100), update(tags=[PAIR] * 101)),
        ("/customInfo", update(customInfo=[PAIR] * 100), update(customInfo=[PAIR] * 101)),
        (
            "/metrics/0/labels",
            update(metrics=[{**METRIC, "labels": [PAIR] * 20}]),
            update(metrics=[{**METRIC, "labels": [PAIR] * 21}]),
        ),
    ],
    ids=["metrics", "tags", "customInfo", "labels"],
)
def test_a_list_at_its_limit_is_accepted_and_one_item_more_is_refused(
    pointer: str, accepted: Json, refused: Json
) -> None:
    assert violations(accepted) == []
    (violation,) = violations(refused)
    assert violation.pointer == pointer
    length = {"/metrics": 1001, "/metrics/0/labels": 21}.get(pointer, 101)
    assert violation.reason == f"has {length} items, at most {length - 1} are allowed"


def with_text(pointer: str, text: str) -> Json:
    """Put a text at one of the places that take one."""
    _, section, *rest = pointer.split("/")
    if section != "metrics":
        return update(**{section: [{**PAIR, rest[-1]: text}]})
    if "labels" in rest:
        return update(metrics=[{**METRIC, "labels": [{**PAIR, rest[-1]: text}]}])
    return update(metrics=[{**METRIC, "name": text}])


PAIR_TEXTS = [
    f"/{section}/0/{field}"
    for section in ("tags", "customInfo", "metrics/0/labels")
    for field in ("name", "value")
]


@pytest.mark.parametrize("pointer", [*PAIR_TEXTS, "/metrics/0/name"])
@pytest.mark.parametrize("character", ["a", "\u00e9", SMILE], ids=["ascii", "latin", "astral"])
def test_a_text_may_have_256_characters_however_many_bytes_they_need(
    pointer: str, character: str
) -> None:
    assert violations(with_text(pointer, "a" + character * 255)) == []
    (violation,) = violations(with_text(pointer, "a" + character * 256))
    assert violation.pointer == pointer
    assert violation.reason == "is 257 characters long, at most 256 are allowed"


@pytest.mark.parametrize("pointer", PAIR_TEXTS)
def test_a_text_of_a_pair_may_not_be_empty_but_may_be_anything_else(pointer: str) -> None:
    assert violations(with_text(pointer, "")) == [Violation(pointer, "is empty")]
    for text in (" ", "\0", "\n", "$", ".", SMILE, "null"):
        assert violations(with_text(pointer, text)) == []


@pytest.mark.parametrize("name", ["Error Rate", "a", "_", "-", "9", "\u00e9-", "  a", "a\n", "\0z"])
def test_a_metric_s_name_needs_one_character_of_the_pattern_anywhere(name: str) -> None:
    assert violations(with_text("/metrics/0/name", name)) == []


@pytest.mark.parametrize("name", ["", " ", "\u00e9", "\u00df\u0663", ".", "/", SMILE, "\n"])
def test_a_metric_s_name_without_a_character_of_the_pattern_is_refused(name: str) -> None:
    (violation,) = violations(with_text("/metrics/0/name", name))
    assert violation.pointer == "/metrics/0/name"
    assert "does not match the pattern [A-Za-z0-9_-]{1,64}" in violation.reason


@pytest.mark.parametrize("name", ["abcd", "a.-_", "....", "0" * 64, "A-z_0.9"])
def test_an_execution_id_has_4_to_64_word_characters_dots_and_hyphens(name: str) -> None:
    assert violations({"executionId": name}) == []


@pytest.mark.parametrize(
    "name",
    ["", "abc", "0" * 65, "abc\u00e9", "\u0663" * 4, "abcd\n", "ab cd", "ab/cd", " abcd", "ab\0cd"],
)
def test_any_other_execution_id_is_refused(name: str) -> None:
    (violation,) = violations({"executionId": name})
    assert violation.pointer == "/executionId"
    assert "does not match the pattern" in violation.reason


def test_the_reason_shows_the_offending_text_shortened() -> None:
    (short,) = violations({"executionId": "a b"})
    assert short.reason.startswith('"a b" does not match')
    (long,) = violations({"executionId": "0" * 1000})
    assert "000\u2026 does not match" in long.reason
    assert len(long.reason) < 130


# --- customInfo as a whole ----------------------------------------------------------------------

FIVE_MIB = 5 * 1024 * 1024
WIDE = UpdateParser(max_custom_info_value_chars=2 * FIVE_MIB)


def custom_info_of(size: int) -> list[Json]:
    frame = len(orjson.dumps([{"name": "a", "value": ""}]))
    return [{"name": "a", "value": "x" * (size - frame)}]


def test_custom_info_may_have_exactly_5_mib() -> None:
    limit = FIVE_MIB
    assert violations(update(customInfo=custom_info_of(limit)), WIDE) == []
    with pytest.raises(
        PayloadTooLargeError, match=f"is {limit + 1} bytes long as JSON, at most {limit}"
    ):
        WIDE.parse(orjson.dumps(update(customInfo=custom_info_of(limit + 1))))


@pytest.mark.parametrize(
    "other", [{"executionId": "x"}, {"unknown": 1}, {"metrics": None}, {"tags": [5]}], ids=repr
)
def test_custom_info_over_5_mib_is_too_large_whatever_else_is_wrong(other: Json) -> None:
    body = update(customInfo=custom_info_of(FIVE_MIB + 1), **{"tags": [], **other})
    with pytest.raises(PayloadTooLargeError):
        PARSER.parse(orjson.dumps(body))


def test_white_space_and_other_sections_don_t_count_for_custom_info() -> None:
    blank = b" " * FIVE_MIB
    assert violations(b'{"executionId":"abcd","customInfo":[' + blank + b"]}") == []
    metrics = [{**METRIC, "labels": [{"name": "l" * 256, "value": "v" * 256}] * 20}] * 600
    assert violations(update(metrics=metrics, customInfo=[PAIR])) == []


def test_below_5_mib_the_length_of_a_value_decides_and_its_limit_is_a_parameter() -> None:
    pointer = "/customInfo/0/value"
    for limit, parser in ((256, PARSER), (1000, UpdateParser(1000))):
        assert violations(with_text(pointer, SMILE * limit), parser) == []
        (violation,) = violations(with_text(pointer, SMILE * (limit + 1)), parser)
        assert violation.pointer == pointer
        assert f"at most {limit} are allowed" in violation.reason


def test_the_parameter_does_not_change_the_limit_of_names_tags_and_labels() -> None:
    parser = UpdateParser(max_custom_info_value_chars=1000)
    for pointer in PAIR_TEXTS:
        refused = pointer != "/customInfo/0/value"
        assert bool(violations(with_text(pointer, "a" * 257), parser)) is refused


def test_the_largest_valid_update_is_accepted() -> None:
    labels = [{"name": "l" * 256, "value": "v" * 256}] * 20
    full = {"name": "n" * 256, "value": -1.7976931348623157e308, "labels": labels}
    full |= {"timestamp": "2020-11-12T12:18:01.123456789+14:00", "step": 2**63 - 1}
    pairs = [{"name": "n" * 256, "value": "v" * 256}] * 100
    resource = {"executionId": "a" * 64, "metrics": [full] * 1000, "tags": pairs}
    assert violations(resource | {"customInfo": pairs}) == []


# --- the header --------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["abc", "a" * 253, "a.c", "a-c", "0.0", "A1Z", "a--..b"])
def test_a_resource_group_of_3_to_253_characters_is_accepted(group: str) -> None:
    assert check_resource_group(group) is None


@pytest.mark.parametrize(
    "group",
    ["", "ab", "a" * 254, ".ab", "ab.", "-ab", "ab-", "a_b", "a/b", "abc\n", "a c", "\u00e9bc"],
)
def test_any_other_resource_group_is_refused(group: str) -> None:
    violation = check_resource_group(group)
    assert violation is not None
    assert violation.pointer == "(header AI-Resource-Group)"
    assert len(violation.reason) < 200


def test_a_resource_group_that_is_no_utf8_is_refused_as_any_other() -> None:
    # aiohttp makes a lone surrogate of each byte that is no UTF-8.
    assert check_resource_group(b"caf\xe9".decode(errors="surrogateescape")) is not None


def test_a_missing_resource_group_is_said_to_be_missing() -> None:
    assert "is missing" in str(check_resource_group(None))
