"""Reading collapsed stacks."""

from tests.bench.stacks import read_stacks

_STACKS = """\
main (a.py:1);work (b.py:2);leaf (c.py:3) 6
main (a.py:1);work (b.py:2) 3
main (a.py:1);again (d.py:4);again (d.py:4) 1
"""


def test_own_time_is_the_innermost_function_s() -> None:
    profile = read_stacks(_STACKS)
    assert profile.samples == 10
    assert profile.top(profile.own, 2) == [("leaf (c.py:3)", 0.6), ("work (b.py:2)", 0.3)]


def test_inclusive_time_counts_a_function_once_however_deep_it_calls_itself() -> None:
    profile = read_stacks(_STACKS)
    assert profile.inclusive["main (a.py:1)"] == 10
    assert profile.inclusive["work (b.py:2)"] == 9
    assert profile.inclusive["again (d.py:4)"] == 1


def test_nothing_is_a_profile_without_samples() -> None:
    assert read_stacks("").samples == 0
