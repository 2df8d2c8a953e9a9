"""Strategies: resources at every limit, and resources that break one rule in one place."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tests.contract.strategies import EXECUTION_IDS, METRICS, RESOURCES, Json, pairs, texts
from tests.input import oracle

PAIR = {"name": "n", "value": "v"}
METRIC = {"name": "n", "value": 1}
_ROCKET = "\N{ROCKET}"

LONGEST = st.sampled_from(["x", "é", "漢", _ROCKET]).map(lambda one: one * oracle.MAX_CHARS)


@st.composite
def at_the_limits(draw: st.DrawFn) -> Json:
    """A valid resource with as much of one thing as may be: all at once would be 20 MB."""
    pair = st.fixed_dictionaries({"name": LONGEST | texts(), "value": LONGEST | texts()})
    metric = draw(METRICS) | draw(
        st.fixed_dictionaries(
            {},
            optional={
                "name": LONGEST.map(lambda text: "_" + text[1:]),
                "value": st.sampled_from([1.7976931348623157e308, 5e-324, -(2**63), 2**64 - 1]),
                "step": st.sampled_from([0, oracle.MAX_STEP, 0.0, 2.0**62]),
                "labels": st.just([PAIR | {"value": "v" * oracle.MAX_CHARS}] * oracle.MAX_LABELS),
                "timestamp": st.sampled_from(
                    [
                        "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z",
                        "2016-12-31T23:59:60.5Z", "2000-02-29T23:59:59+23:59",
                        "1999-12-31t23:59:59.1234567890123-23:59",
                    ]
                ),
            },
        )
    )  # fmt: skip
    full = draw(st.sampled_from(["labels", "metrics", "tags", "customInfo"]))
    metrics = [metric]
    if full == "metrics":
        metrics = [draw(METRICS)] * oracle.MAX_METRICS
    return {
        "executionId": draw(st.sampled_from(["a.-_", "x" * 64]) | EXECUTION_IDS),
        "metrics": [{**one, "step": number} for number, one in enumerate(metrics)]
        if draw(st.booleans())
        else metrics,
        "tags": [draw(pair)] * (oracle.MAX_TAGS if full == "tags" else 1),
        "customInfo": [draw(pair)] * (oracle.MAX_CUSTOM_INFO if full == "customInfo" else 1),
    }


VALID = RESOURCES | at_the_limits()


@st.composite
def _full(draw: st.DrawFn) -> Json:
    """A valid resource that has one of everything, so that there is something to break."""
    one_pair = pairs(1).map(lambda some: some or [dict(PAIR)])
    resource: Json = draw(RESOURCES)
    metric = draw(METRICS) | {"labels": draw(one_pair)}
    return resource | {
        "metrics": [*resource.get("metrics", []), metric],
        "tags": draw(one_pair),
        "customInfo": draw(one_pair),
    }


# A way to break a rule: changes the resource in place, and returns the pointer of the place.
Break = Callable[[st.DrawFn, Json], str]


def _set(path: str, values: st.SearchStrategy[Any]) -> Break:
    """Put a wrong value somewhere. `-` is the last item of a list."""

    def change(draw: st.DrawFn, resource: Json) -> str:
        owner: Any = resource
        done = ""
        *parts, last = path.split("/")
        for part in parts:
            key = len(owner) - 1 if part == "-" else part
            owner, done = owner[key], f"{done}/{key}"
        if last == "-":
            last = len(owner) - 1  # type: ignore[assignment]  # an index now
        owner[last] = draw(values)
        return f"{done}/{last}"

    return change


def _add(path: str) -> Break:
    """Add a field that nobody knows."""
    field = st.sampled_from(["Name", "Value", "labls", "custominfo", "", "name ", "$", "a/b~c"])
    add = _set(f"{path}/?" if path else "?", st.just(1))

    def change(draw: st.DrawFn, resource: Json) -> str:
        place = add(draw, resource).removesuffix("/?")
        owner = _at(resource, place)
        owner[draw(field)] = owner.pop("?")
        return place

    return change


def _drop(path: str, field: str) -> Break:
    """Leave out a field that is required."""
    put = _set(f"{path}/{field}" if path else field, st.just(0))

    def change(draw: st.DrawFn, resource: Json) -> str:
        place = put(draw, resource).removesuffix(f"/{field}")
        del _at(resource, place)[field]
        return place

    return change


def _at(resource: Any, place: str) -> Any:
    for part in place.split("/")[1:]:
        resource = resource[int(part)] if isinstance(resource, list) else resource[part]
    return resource


def _none_of(*kinds: str) -> st.SearchStrategy[Any]:
    """A value of any other type."""
    values: dict[str, Any] = {
        "null": None, "boolean": True, "number": 1.5, "string": "abcd", "list": [], "object": {},
    }  # fmt: skip
    return st.sampled_from([value for kind, value in values.items() if kind not in kinds]).map(
        deepcopy
    )


_BAD_TEXT = _none_of("string") | st.sampled_from(["", "x" * 257, _ROCKET * 257])
_PAIRS = ("tags/-", "customInfo/-", "metrics/-/labels/-")
BREAKS: dict[str, Break] = {
    "execution id": _set(
        "executionId",
        _none_of("string")
        | st.text("ab.", max_size=3)
        | st.text("ab.", min_size=65, max_size=70)
        | st.builds(lambda a, b: f"ab{a}cd{b}", st.sampled_from("/ é\n\0$"), st.text("ab")),
    ),
    "no execution id": _drop("", "executionId"),
    "unknown field": _add(""),
    "metrics": _set("metrics", _none_of("list")),
    "tags": _set("tags", _none_of("list")),
    "custom info": _set("customInfo", _none_of("list")),
    "too many metrics": _set("metrics", st.just([METRIC] * 1001)),
    "too many tags": _set("tags", st.just([PAIR] * 101)),
    "too much custom info": _set("customInfo", st.just([PAIR] * 101)),
    "created at": _set("createdAt", _none_of("null", "boolean", "number", "string")),
    "modified at": _set("modifiedAt", _none_of("null", "boolean", "number", "string")),
    "metric": _set("metrics/-", _none_of("object")),
    "unknown field of a metric": _add("metrics/-"),
    "no name": _drop("metrics/-", "name"),
    "no value": _drop("metrics/-", "value"),
    "name": _set(
        "metrics/-/name",
        _none_of("string") | st.text(" é./\0", max_size=9) | st.sampled_from(["x" * 257]),
    ),
    "value": _set("metrics/-/value", _none_of("number")),
    "step": _set(
        "metrics/-/step",
        _none_of("null", "number")
        | st.integers(max_value=-1)
        | st.integers(min_value=2**63)
        | st.sampled_from([0.5, -1.0, float(2**63), 1e300]),
    ),
    "timestamp": _set(
        "metrics/-/timestamp",
        _none_of("null", "string")
        | st.text("0123456789-:.TZ+", max_size=30).filter(lambda one: not oracle.is_timestamp(one)),
    ),
    "labels": _set("metrics/-/labels", _none_of("null", "list")),
    "too many labels": _set("metrics/-/labels", st.just([PAIR] * 21)),
}
BREAKS |= {f"item of {path}": _set(path, _none_of("object")) for path in _PAIRS}
BREAKS |= {f"unknown field of {path}": _add(path) for path in _PAIRS}
BREAKS |= {
    f"{what} {field} of {path}": change
    for path in _PAIRS
    for field in ("name", "value")
    for what, change in (("no", _drop(path, field)), ("bad", _set(f"{path}/{field}", _BAD_TEXT)))
}


@st.composite
def broken(draw: st.DrawFn, change: Break) -> tuple[Json, str]:
    """A resource that breaks one rule, and the place where it does."""
    resource = deepcopy(draw(_full()))
    return resource, change(draw, resource)
