"""What updates do to the tags and custom info of a resource, as a merge that knows no order.

Values are *versioned*: each comes with the sequence of the update that set it. Merging them keeps
for each name the value with the highest sequence. That is commutative, associative and idempotent,
so it does not matter in which order, how often and in what groups updates are applied. MongoDB's
`$max` does the same to what is stored (see documents.py).
"""

from collections.abc import Iterable

# A named value with the sequence of the update that set it. Compared in this order, as MongoDB
# compares the sub-document {sequence, value}.
Versioned = tuple[int, str]
Values = dict[str, Versioned]


def values_of(sequence: int, items: Iterable[dict[str, str]]) -> Values:
    """Return what one update sets. Of two items with one name the later in the array stands."""
    return {item["name"]: (sequence, item["value"]) for item in items}


def merge_values(into: Values, values: Values) -> None:
    """Take values into others."""
    for name, value in values.items():
        current = into.get(name)
        if current is None or value > current:
            into[name] = value


def is_visible(sequence: int | None, deleted: int | None) -> bool:
    """Tell whether something that came with `sequence` is newer than the resource's deletion.

    Deleting is nothing but a sequence: what is not newer is invisible, whenever it arrives.
    """
    return sequence is not None and (deleted is None or sequence > deleted)
