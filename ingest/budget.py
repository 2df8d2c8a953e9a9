"""Budgets: how much of something may be in use at once, in all and by one resource group.

What counts is bytes of bodies that are being received, bytes of updates that wait for their
confirm, or reads. One budget is one limit on the gateway's memory; a group's share of it keeps
one tenant from taking all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from ingest.contract.parse import check_resource_group
from ingest.errors import Error, RequestError

# What is in use comes back within some milliseconds, or the gateway is overloaded for longer than
# anyone can tell: clients add their own backoff.
RETRY_AFTER_S = 1


class Budget:
    """Count what is in use. A group with nothing in use takes no memory."""

    def __init__(self, what: str, limit: int, group_limit: int) -> None:
        """Set the limits; `what` says in the errors what is counted, as "reads in progress"."""
        self.used = 0
        self._what = what
        self._limit = limit
        self._group_limit = group_limit
        self._groups: dict[str, int] = {}

    def __len__(self) -> int:
        """Count the groups that have something in use."""
        return len(self._groups)

    def used_by(self, group: str) -> int:
        """Return what one group has in use."""
        return self._groups.get(group, 0)

    def reserve(self, group: str, amount: int) -> None:
        """Take an amount into use; the caller must release the same amount, once.

        One item alone is always admitted, however large: else it never could be.

        Raises:
            RequestError: OVERLOADED if all groups together would exceed the whole, else
                GROUP_LIMITED if the group would exceed its share. Nothing was reserved.
        """
        of_group = self._groups.get(group, 0)
        if self.used and self.used + amount > self._limit:
            raise RequestError(
                Error.OVERLOADED,
                [f"the gateway has {self.used} of at most {self._limit} {self._what}"],
                retry_after_s=RETRY_AFTER_S,
            )
        if of_group and of_group + amount > self._group_limit:
            raise RequestError(
                Error.GROUP_LIMITED,
                [
                    (
                        f"the resource group has {of_group} of at most {self._group_limit} "
                        f"{self._what}; send less at once"
                    )
                ],
                retry_after_s=RETRY_AFTER_S,
            )
        self._groups[group] = of_group + amount
        self.used += amount

    def release(self, group: str, amount: int) -> None:
        """Give back what was reserved."""
        self.used -= amount
        left = self._groups[group] - amount
        if left:
            self._groups[group] = left
        else:
            del self._groups[group]

    @contextmanager
    def reserved(self, group: str, amount: int) -> Iterator[None]:
        """Reserve an amount for the block (see reserve)."""
        self.reserve(group, amount)
        try:
            yield
        finally:
            self.release(group, amount)


class Hold:
    """What one request has of a budget; leaving the block gives it back."""

    def __init__(self, budget: Budget, group: str, free: int = 0) -> None:
        """Hold nothing yet; amounts up to `free` are too little to be counted."""
        self.counted = 0
        self._budget = budget
        self._group = group
        self._free = free

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.count(0)

    def count(self, amount: int) -> None:
        """Hold this amount instead of what was held before.

        Raises:
            RequestError: see Budget.reserve. Then nothing is held.
        """
        if self.counted:
            self._budget.release(self._group, self.counted)
            self.counted = 0
        if amount > self._free:
            self._budget.reserve(self._group, amount)
            self.counted = amount


def group_to_charge(header: str | None) -> str:
    """Return whose share a request uses: those without a proper resource group share one."""
    return "" if header is None or check_resource_group(header) else header
