"""What updates do to a resource apart from its points, as a merge that knows no order.

A *change* is the joint effect of any number of updates on one resource. Changes merge: the
earliest creation, the latest modification, and for each tag and each custom info the value with
the highest sequence. That is commutative, associative and idempotent, so it does not matter in
which order, how often and in what groups updates are applied. MongoDB's `$min` and `$max` do
the same to what is stored (see documents.py).
"""

from dataclasses import dataclass, field

from ingest.contract.message import Entry

# A named value with the sequence of the update that set it. Compared in this order, as MongoDB
# compares the sub-document {sequence, value}.
Versioned = tuple[int, str]


@dataclass(slots=True)
class Change:
    """The joint effect of some updates on one resource, its points left out."""

    created: int
    modified: int
    tags: dict[str, Versioned] = field(default_factory=dict)
    custom_info: dict[str, Versioned] = field(default_factory=dict)

    def merge(self, other: "Change") -> None:
        """Take the other change in."""
        self.created = min(self.created, other.created)
        self.modified = max(self.modified, other.modified)
        _merge_values(self.tags, other.tags)
        _merge_values(self.custom_info, other.custom_info)


def change_of(entry: Entry) -> Change:
    """Return what one update does. Of two items with one name the later in the array stands."""
    sequence, resource = entry.sequence, entry.resource
    change = Change(sequence, sequence)
    for item in resource.get("tags", ()):
        change.tags[item["name"]] = (sequence, item["value"])
    for item in resource.get("customInfo", ()):
        change.custom_info[item["name"]] = (sequence, item["value"])
    return change


def is_visible(sequence: int | None, deleted: int | None) -> bool:
    """Tell whether something that came with `sequence` is newer than the resource's deletion.

    Deleting is nothing but a sequence: what is not newer is invisible, whenever it arrives.
    """
    return sequence is not None and (deleted is None or sequence > deleted)


def _merge_values(into: dict[str, Versioned], values: dict[str, Versioned]) -> None:
    for name, value in values.items():
        current = into.get(name)
        if current is None or value > current:
            into[name] = value
