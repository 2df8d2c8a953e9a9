"""Budgets: what is in use never exceeds the limits, but for one item alone."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ingest.budget import Budget, Hold, group_to_charge
from ingest.errors import Error, RequestError

LIMIT, SHARE = 100, 40
GROUPS = st.sampled_from(["a", "b", "c"])


class Budgeting(RuleBasedStateMachine):
    """Reservations and releases in any order, against a list of what is reserved."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget("things", LIMIT, SHARE)
        self.reserved: list[tuple[str, int]] = []

    def of(self, group: str) -> int:
        return sum(amount for of, amount in self.reserved if of == group)

    @rule(group=GROUPS, amount=st.integers(1, 120))
    def reserve(self, group: str, amount: int) -> None:
        mine, every = self.of(group), sum(amount for _, amount in self.reserved)
        expected = None
        if every and every + amount > LIMIT:
            expected = Error.OVERLOADED
        elif mine and mine + amount > SHARE:
            expected = Error.GROUP_LIMITED
        if expected is None:
            self.budget.reserve(group, amount)
            self.reserved.append((group, amount))
            return
        with pytest.raises(RequestError) as caught:
            self.budget.reserve(group, amount)
        assert caught.value.failure is expected.value
        assert caught.value.headers["Retry-After"] == "1"

    @precondition(lambda self: self.reserved)
    @rule(number=st.integers(0))
    def release(self, number: int) -> None:
        self.budget.release(*self.reserved.pop(number % len(self.reserved)))

    @invariant()
    def counts_what_is_reserved_and_forgets_the_rest(self) -> None:
        assert self.budget.used == sum(amount for _, amount in self.reserved)
        for group in ("a", "b", "c"):
            assert self.budget.used_by(group) == self.of(group)
        assert len(self.budget) == len({group for group, _ in self.reserved})


test_a_budget_admits_exactly_what_its_limits_allow = Budgeting.TestCase


def test_what_a_block_reserves_is_given_back_also_when_it_fails() -> None:
    budget = Budget("things", LIMIT, SHARE)

    def fail_inside() -> None:
        with budget.reserved("a", 40), Hold(budget, "b", free=5) as hold:
            hold.count(30)
            hold.count(20)
            assert (budget.used_by("a"), budget.used_by("b")) == (40, 20)
            hold.count(5)
            assert budget.used == 40
            hold.count(6)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert budget.used == 0
    assert len(budget) == 0


def test_what_a_hold_was_refused_it_does_not_have() -> None:
    budget = Budget("things", LIMIT, SHARE)
    with budget.reserved("a", 90), Hold(budget, "b", free=0) as hold:
        hold.count(10)
        with pytest.raises(RequestError):
            hold.count(11)
        assert hold.counted == 0
        assert budget.used == 90


@pytest.mark.parametrize("header", [None, "", "a b", "-a-", "x" * 300])
def test_requests_without_a_proper_group_share_one(header: str | None) -> None:
    assert group_to_charge(header) == ""
    assert group_to_charge("default") == "default"
