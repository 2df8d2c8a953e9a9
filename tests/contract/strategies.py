"""Strategies: valid updates of any kind, and small ones that collide in every way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import orjson
from hypothesis import strategies as st

from ingest.contract.documents import RunText, run_texts
from ingest.contract.message import encode_entry, encode_message
from ingest.contract.points import Run
from ingest.contract.resource import MAX_STEP

T = TypeVar("T")
Json = dict[str, Any]

FIRST_SEQUENCE = 1_700_000_000_000_000_000
MESSAGE_ID = bytes(range(12))


def texts(max_size: int = 256) -> st.SearchStrategy[str]:
    """Any text that JSON in UTF-8 can hold, NUL and astral characters included."""
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=max_size)


# --- Any valid update -------------------------------------------------------------------------


@dataclass(frozen=True)
class Instant:
    """An RFC 3339 date-time and what it means: UTC seconds, and nine digits of fraction."""

    text: str
    utc: datetime
    nanoseconds: str

    @property
    def canonical(self) -> str:
        """The canonical form, made in another way than the product does it."""
        digits = self.nanoseconds
        if digits.endswith("000000"):
            digits = digits[:3]
        elif digits.endswith("000"):
            digits = digits[:6]
        return f"{self.utc.isoformat(timespec='seconds')}.{digits}Z"


@st.composite
def instants(draw: st.DrawFn) -> Instant:
    """Date-times with any offset and fraction, at least a day inside the years 1 to 9999."""
    first, last = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001 - an offset is added
    local = draw(st.datetimes(first, last)).replace(microsecond=0)
    fraction = draw(
        st.text("0123456789", max_size=12) | st.sampled_from(["5", "000", "12300", "123456000"])
    )
    offset = draw(st.none() | st.integers(-(24 * 60 - 1), 24 * 60 - 1))
    zone = draw(st.sampled_from("Zz"))
    if offset is not None:
        zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    date, time = local.isoformat().split("T")
    text = date + draw(st.sampled_from("Tt")) + time + (f".{fraction}" if fraction else "") + zone
    return Instant(text, local - timedelta(minutes=offset or 0), fraction[:9].ljust(9, "0"))


@st.composite
def metric_names(draw: st.DrawFn) -> str:
    """Any name that has one of the characters of the pattern in it."""
    before, after = draw(texts(100)), draw(texts(100))
    middle = draw(st.sampled_from("azAZ09_-"))
    return draw(st.sampled_from([middle, before + middle, middle + after, before + middle + after]))


def pairs(max_size: int) -> st.SearchStrategy[list[Json]]:
    """Labels, tags or custom info."""
    item = st.fixed_dictionaries({"name": texts(), "value": texts()})
    return st.lists(item, max_size=max_size)


NUMBERS = (
    st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**63, 2**64 - 1, 1e-320, -0.0])
)
METRICS = st.fixed_dictionaries(
    {"name": metric_names(), "value": NUMBERS},
    optional={
        "timestamp": st.none() | instants().map(lambda instant: instant.text),
        "step": st.none() | st.integers(0, MAX_STEP) | st.sampled_from([0.0, 1.0, 2.0**53]),
        "labels": st.none() | pairs(3),
    },
)
EXECUTION_IDS = st.text("abcXYZ019_.-", min_size=4, max_size=64)
RESOURCES = st.fixed_dictionaries(
    {"executionId": EXECUTION_IDS},
    optional={
        "metrics": st.lists(METRICS, max_size=4),
        "tags": pairs(3),
        "customInfo": pairs(3),
        "createdAt": st.none() | st.text(max_size=3) | st.integers(0, 9),
        "modifiedAt": st.booleans() | st.floats(0, 1),
    },
)

# --- Small updates that share identities ------------------------------------------------------

_LABELS = (
    None,
    [{"name": "set", "value": "train"}],
    [{"name": "set", "value": "train"}, {"name": "gpu", "value": "1"}],
    [{"name": "gpu", "value": "1"}, {"name": "set", "value": "train"}],
    [{"name": "set", "value": "test"}],
)
_TIMESTAMPS = (
    "2024-01-01T00:00:00.000Z",
    "2024-01-01T00:00:00.500Z",
    "2024-01-01T00:00:00.500001Z",
    "2024-01-01T00:00:00.500000001Z",
    "2024-01-01T00:00:01.000Z",
)


@st.composite
def canonical_metrics(draw: st.DrawFn) -> Json:
    """A metric in canonical form, one of few identities."""
    metric: Json = {
        "name": draw(st.sampled_from(["loss", "Loss", "val"])),
        "value": draw(st.integers(0, 3)),
        "timestamp": draw(st.sampled_from(_TIMESTAMPS)),
    }
    if (step := draw(st.integers(-1, 3))) >= 0:
        metric["step"] = step
    if (labels := draw(st.sampled_from(_LABELS))) is not None:
        metric["labels"] = labels
    return metric


def _few_pairs() -> st.SearchStrategy[list[Json]]:
    item = st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b", "a/b"]), "value": st.sampled_from(["1", "2", "é"])}
    )
    return st.lists(item, max_size=3)


@dataclass(frozen=True)
class Update:
    """One update as a gateway would take it in."""

    sequence: int
    resource_group: str
    resource: Json

    @property
    def key(self) -> str:
        return f"{self.resource_group}/{self.resource['executionId']}"

    def encode(self) -> bytes:
        body = orjson.dumps(self.resource)
        return encode_entry(self.sequence, "request", self.resource_group, body)


@st.composite
def updates(
    draw: st.DrawFn,
    max_size: int = 8,
    min_size: int = 1,
    groups: Sequence[str] = ("default", "other"),
    runs: Sequence[str] = ("run.1", "run.2"),
) -> list[Update]:
    """Updates of few resources, tags and points; no two share a sequence."""
    resource = st.fixed_dictionaries(
        {"executionId": st.sampled_from(runs)},
        optional={
            "metrics": st.lists(canonical_metrics(), max_size=5),
            "tags": _few_pairs(),
            "customInfo": _few_pairs(),
        },
    )
    numbers = draw(st.lists(st.integers(0, 20), unique=True, min_size=min_size, max_size=max_size))
    group = st.sampled_from(groups)
    return [
        Update(FIRST_SEQUENCE + 1000 * number, draw(group), draw(resource)) for number in numbers
    ]


@st.composite
def grouped(draw: st.DrawFn, items: list[T]) -> list[list[T]]:
    """The items in any order, cut into groups that may be empty."""
    order = draw(st.permutations(items))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    return [order[start:end] for start, end in pairwise([0, *cuts, len(order)])]


@st.composite
def repeated(draw: st.DrawFn, items: list[T]) -> list[T]:
    """The items in any order, some of them several times, none of them missing."""
    again = draw(st.lists(st.sampled_from(items), max_size=6)) if items else []
    return draw(st.permutations([*items, *again]))


@st.composite
def messages(draw: st.DrawFn, of: list[Update]) -> list[bytes]:
    """The updates in any order, encoded as messages of any size."""
    return [
        encode_message(number.to_bytes(12, "big"), [update.encode() for update in group])
        for number, group in enumerate(draw(grouped(of)))
    ]


def encoded_runs(runs: Iterable[Run]) -> list[RunText]:
    """The runs as segments hold them."""
    return [text for run in runs for text in run_texts(run)]
