"""How many values a body holds, counted before it is parsed.

A value costs some hundred bytes and a microsecond, a list `[]` takes three bytes: 20 MB of them
would cost 3 GB and stop the gateway for 9 s. No MetricResource has nearly as many.
"""

from ingest.contract.resource import MAX_CUSTOM_INFO, MAX_LABELS, MAX_METRICS, MAX_TAGS

# A name and a value, and the object they are in; of a metric timestamp, step and labels, too.
_ITEM = 3
_METRIC = 6 + _ITEM * MAX_LABELS
_LARGEST = MAX_METRICS * _METRIC + _ITEM * (MAX_TAGS + MAX_CUSTOM_INFO) + 8
# With room for what is too much by a few times, so that it is told what exactly is too much.
MAX_VALUES = 4 * _LARGEST


def has_too_many_values(body: bytes, most: int = MAX_VALUES) -> bool:
    """Tell whether a JSON text has more values than `most`, counting empty lists twice.

    Every value is the first in a list or an object, or comes after a comma. What stands inside of
    strings does not count, but is only looked at when that matters.
    """
    if len(body) <= most or _openings(body) <= most:
        return False
    # Backslashes stand in strings only, in pairs from the left, or before what they escape.
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    strings = unescaped.count(b'"') // 2
    if strings > 2 * most:  # each is a value or the name of one
        return True
    return _openings(b"".join(unescaped.split(b'"')[::2])) > most


def _openings(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")
